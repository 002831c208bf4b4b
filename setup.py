"""Package metadata; the tools' settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
INIT = (HERE / "deepfake_utils" / "__init__.py").read_text(encoding="utf-8")
README = HERE / "README.md"

# Read, not imported: importing the package would need torch before it is installed.
VERSION = re.search(r'^__version__ = "([^"]+)"', INIT, re.MULTILINE)
if VERSION is None:
    raise RuntimeError('deepfake_utils/__init__.py has no line __version__ = "..."')

setup(
    name="deepfake-utils",
    version=VERSION.group(1),
    description="Face swapping with a shared-encoder autoencoder, small enough to read",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="MIT",
    # The one place of the address: `make address URL=...` changes all others with it.
    url="https://github.com/deepfake-utils/deepfake_utils",
    python_requires=">=3.10",
    packages=find_packages(include=["deepfake_utils", "deepfake_utils.*"]),
    package_data={"deepfake_utils": ["py.typed", "data/**/*"]},
    # Lower bounds only, and none above what Colab has: installing there must change nothing of
    # Colab's own. Exact versions for development are in constraints.txt.
    install_requires=[
        "torch>=2.6",
        "numpy>=1.26",
        "opencv-python-headless>=4.12",
        "albumentations>=2.0",
        "av>=17.1",
        "c2pa-python>=0.38",
        "cryptography>=42",
        "filelock>=3.13",
        "matplotlib>=3.8",
        "pillow>=11",
        "ipywidgets>=7.7",
        "gdown>=5.1",
        "safetensors>=0.4.3",
        "tqdm>=4.66",
    ],
    extras_require={
        # face-alignment brings desktop OpenCV, which shares its cv2 folder with the headless one
        # and needs libGL: `make fan` installs the two in the order that works everywhere.
        "fan": ["face-alignment>=1.5"],
        # Whose face it is: dlib's network and its weights, which are 100 MB to download.
        "score": ["dlib-bin>=19.24.6", "face_recognition_models>=0.3.0"],
        "heic": ["pillow-heif>=0.22"],  # photographs as phones write them
        "multi": ["accelerate>=1.0"],  # several processes or GPUs
        "browser": ["jupyterlab>=4.2", "playwright>=1.48"],  # to test the notebooks in Chromium
        "dev": [
            "accelerate",
            "hypothesis",
            "ipykernel",
            "mypy",
            "nbclient",
            "nbformat",
            "nbstripout",
            "pre-commit",
            "psutil",
            "pytest",
            "pytest-xdist",
            "ruff",
            "uv",
        ],
    },
)
