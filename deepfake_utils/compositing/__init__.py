"""How a drawn face gets into its frame; `swapping.Swapper` calls these in turn.

`occlusion` finds what covers the face, `colour` gives the drawn face the light of the frame,
`blending` pastes it (change there how a face is laid over the frame), and `grain` gives it the
softness and the grain of the film.
"""

from .blending import Blend, edge_fade, paste_face, sharpen
from .colour import ColourMatch, match_colour
from .grain import add_grain, grain_level, soften
from .occlusion import usual_error, visible

__all__ = [
    "Blend",
    "ColourMatch",
    "add_grain",
    "edge_fade",
    "grain_level",
    "match_colour",
    "paste_face",
    "sharpen",
    "soften",
    "usual_error",
    "visible",
]
