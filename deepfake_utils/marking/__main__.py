"""What a file says of itself: `python -m deepfake_utils.marking FILE...`; see `reading.main`."""

import sys

from .reading import main

if __name__ == "__main__":
    sys.exit(main())
