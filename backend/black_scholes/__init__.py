"""Option pricing: pure mathematics on arrays, without input or output."""
