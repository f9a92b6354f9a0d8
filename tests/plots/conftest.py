import sys
from pathlib import Path

# The records of these tests are a module beside them.
sys.path.insert(0, str(Path(__file__).parent))
