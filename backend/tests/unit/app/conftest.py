import sys
from pathlib import Path

# What tests of backtests share stands in `stored_day`, beside them.
sys.path.append(str(Path(__file__).parent))
