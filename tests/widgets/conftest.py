import sys
from pathlib import Path

# The simulated sky of these tests is a module beside them.
sys.path.insert(0, str(Path(__file__).parent))
