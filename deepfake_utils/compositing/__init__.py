"""How a drawn face gets into its frame; `swapping.Swapper` calls these in turn.

`occlusion` finds what covers the face, `colour` gives the drawn face the light of the frame, and
`blending` pastes it: change there how a face is laid over the frame.
"""

from .blending import Blend, edge_fade, paste_face, sharpen
from .colour import ColourMatch, match_colour
from .occlusion import usual_error, visible

__all__ = [
    "Blend",
    "ColourMatch",
    "edge_fade",
    "match_colour",
    "paste_face",
    "sharpen",
    "usual_error",
    "visible",
]
