import sys
from pathlib import Path

# What these tests share stands in files beside them.
sys.path.append(str(Path(__file__).parent))
