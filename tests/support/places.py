"""Where things lie that tests need."""

from pathlib import Path

import skimage

PROJECT = Path(__file__).parents[2]
COFFEE = Path(skimage.__file__).parent / "data" / "coffee.png"  # 600 x 400 pixels; CC0
