"""The four layers of one file with a swapped face: begun before it is written, ended after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..files import whole_file
from ..images import Image
from .c2pa import (
    SIDECAR,
    TOOL,
    Origin,
    describe,
    mime_type,
    need_c2pa,
    package_version,
    sidecar_of,
    sign_file,
)
from .codes import new_mark_id
from .identity import Identity, local_identity
from .label import DISCLOSURE, draw_label, label_planes
from .masking import Luma
from .reading import read_watermark
from .watermark import Watermark
from .xmp import add_xmp, xmp_packet

# A single picture that repeats itself, such as a grid of faces, hides a mark of the usual strength.
STILL_STRENGTHS = (1.0, 1.4, 1.8, 2.4, 3.2, 4.0)
SURE_PEAK = 10.0  # of the pilot; then it is also read from a screenshot, and as a film at CRF 33
READABLE = 256  # pixels; a smaller picture bears the mark, but may be too small to read it from


class Marks:
    """The layers of one file; what may be missing is asked for before it is written."""

    def __init__(
        self,
        path: Path,
        visible_label: bool,
        origin: Origin | None,
        identity: Identity | None,
        start_s: float = 0.0,
    ) -> None:
        need_c2pa()
        self.path, self.visible_label = path, visible_label
        self.origin = origin or Origin()
        self.identity = identity or local_identity()
        self.watermark = Watermark()
        # Two marks on top of each other would both be lost: an old one is kept and refreshed.
        old = None
        if self.origin.target is not None:
            old = read_watermark(self.origin.target, start_s)
        self.mark_id = old.mark_id if old else new_mark_id()
        self._usual = self.share = 0.5 if old else 1.0

    def draw(self, image: Image) -> Image:
        """A copy with label and watermark, (H, W, 3) RGB uint8."""
        if self.visible_label:
            image = draw_label(image)
        return self.watermark.write(image, self.mark_id, self.share)

    def draw_planes(self, planes: tuple[Luma, ...], label: bool, full_range: bool = False) -> None:
        """Label and watermark of a video frame, in place: luma and chromas, as `planes_of`."""
        if label:
            label_planes(planes, full_range=full_range)
        self.watermark.write_luma(planes[0], self.mark_id, self.share, full_range)

    def draw_still(
        self, image: Image, label: bool | None = None, shown: Callable[[Image], Image] | None = None
    ) -> Image:
        """As `draw`, for a picture that must show its watermark by itself: no stronger than needed.

        Later calls of `draw` use the same strength, and of `draw_still` at least that.

        Args:
            shown: what is left of a picture in the file, e.g. its 256 colours.

        Raises:
            ValueError: if the watermark of a picture of some size cannot be read.
        """
        if self.visible_label if label is None else label:
            image = draw_label(image)
        best = (0.0, self.share)
        for share in (self._usual * strength for strength in STILL_STRENGTHS):
            if share < self.share:
                continue
            marked = self.watermark.write(image, self.mark_id, share)
            found = self.watermark.read([shown(marked) if shown else marked])
            if found is not None and found.mark_id == self.mark_id:
                best = max(best, (found.peak, share))
                if found.peak >= SURE_PEAK:
                    break
        if not best[0] and min(image.shape[:2]) >= READABLE:
            raise ValueError(
                "expected a picture that can bear a watermark, got one in which it cannot be read; "
                "save it larger, or with a background that is not pure white or black"
            )
        self.share = best[1]
        return self.watermark.write(image, self.mark_id, self.share)

    def seal(self, part: Path) -> None:
        """Add metadata and signature to the finished file, which still lies beside its place."""
        kind = mime_type(self.path)
        if kind != SIDECAR:
            add_xmp(part, xmp_packet(DISCLOSURE, f"{TOOL} {package_version()}"))
        manifest = describe(
            *(self.path.suffix, package_version(), self.mark_id, self.visible_label, DISCLOSURE),
            self.origin,
        )
        signed = part.with_name(f"{part.name}.signed")
        try:
            made = sign_file(part, signed, kind, manifest, self.identity, self.origin)
            if kind == SIDECAR:
                with whole_file(sidecar_of(self.path)) as beside:
                    beside.write_bytes(made)
            signed.replace(part)
        finally:
            signed.unlink(missing_ok=True)
