"""The parts of the synthetic generator: names, clocks, paths, ladders, surfaces, quotes, flow."""
