"""Synthetic people with known landmarks, for benchmarks: who, what they do, and their picture.

Geometry is ICT-FaceKit (Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR
2020; MIT, University of Southern California), read from `ict_heads.npz`, which is not part of this
project. Everything else, such as skin, eyes, hair, motion, light and rooms, is made here by seed.
Triangles are drawn with barycentric coordinates and a depth buffer (E. Catmull, 1974); light is
Lambert's with Blinn's highlight (J. Blinn, SIGGRAPH 1977). No real person is in it.

    model = HeadModel()
    image, landmarks = render(Person(7, model), Performance(1, seconds=4), frame=0)
"""

import os
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter1d

VARIABLE = "ICT_HEADS"
USUAL_PLACE = Path(__file__).parents[2].parent / "shared/data/heads/ict_heads.npz"
FPS = 25
HIDDEN = "M_LacrimalFluid", "M_EyeBlend", "M_EyeOcclusion", "M_EyeLashes"  # need transparency
MOUTH_INSIDE = 11248, 13294  # vertices of the skin behind the lips
AXIS_Z = 2.0  # where the vertical axis of the painted cylinder passes through the head
ATLAS = 1024  # side of the painted skin in pixels
BOTTOM, HEIGHT = -20.0, 36.0  # the part of y that it covers, in the model's units (cm)
CAMERA_Z, FOCAL = 75.0, 2.45  # distance in cm, focal length in picture heights
ROTATION_CENTRE = np.array([0.0, 0.4, 5.0], np.float32)
BLINK = 0.45, 0.95, 1.0, 0.8, 0.45, 0.15  # closing weight over frames


def model_path(path=None):
    """The .npz: `path`, else the environment variable ICT_HEADS, else beside the checkout.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    found = Path(path or os.environ.get(VARIABLE) or USUAL_PLACE)
    if not found.is_file():
        raise FileNotFoundError(
            f"expected ICT-FaceKit as ict_heads.npz, found none at {found}; give its path or set "
            f"the environment variable {VARIABLE}"
        )
    return found


class HeadModel:
    """The mesh that all people share, with its directions of shape and expression."""

    def __init__(self, path=None):
        with np.load(model_path(path), allow_pickle=False) as data:
            self.neutral = data["neutral"].astype(np.float32)  # (V, 3), cm, y up, z to the front
            self.identity = data["identity"].astype(np.float32)  # (100, V, 3)
            self.expression = data["expression"].astype(np.float32).reshape(57, -1)
            self.expression_names = [str(name) for name in data["expression_names"]]
            self.landmarks = data["landmarks68"]
            material = data["material_names"][data["material"]]
            shown = ~np.isin(material, HIDDEN)
            self.triangles = data["triangles"][shown].astype(np.int64)
            self.material = material[shown]
        skin = np.isin(self.material, ["M_Face", "M_BackHead"])
        low, high = self.triangles.min(1), self.triangles.max(1)
        self.is_mouth = skin & (low >= MOUTH_INSIDE[0]) & (high < MOUTH_INSIDE[1])
        self.is_skin = skin & ~self.is_mouth

    def eye(self, side):
        """Which triangles are the eye's ("Left", "Right"), and its centre (3,)."""
        sclera = self.material == f"M_Sclera{side}"
        centre = self.neutral[np.unique(self.triangles[sclera])].mean(0)
        return sclera | (self.material == f"M_Iris{side}"), centre


def _atlas_place(points):
    """(N, 3) points of the neutral head -> (N, 2) pixels of the painted cylinder."""
    turn = np.arctan2(points[:, 0], points[:, 2] - AXIS_Z)
    x = (turn / (2 * np.pi) + 0.5) * ATLAS
    y = (BOTTOM + HEIGHT - points[:, 1]) / HEIGHT * ATLAS
    return np.stack([x, y], 1).astype(np.float32)


def _clouds(rng, size, width):
    """(size, size) smooth noise of mean 0 and spread 1."""
    noise = cv2.GaussianBlur(rng.normal(size=(size, size)).astype(np.float32), (0, 0), width)
    return (noise - noise.mean()) / (noise.std() + 1e-9)


class Person:
    """Bones and colours of somebody who does not exist; equal seeds are the same person.

    `tone` of the skin from 0 (dark) to 1 (fair); None draws it too. `varied` people may have
    beards, glasses, painted lips, moles and rougher skin.
    """

    def __init__(self, seed, model, tone=None, varied=False):
        self.seed, self.model = seed, model
        rng = np.random.default_rng([seed, 1])
        self.shape = rng.normal(size=len(model.identity)) * 0.9
        self.vertices = model.neutral + np.tensordot(self.shape, model.identity, 1)
        self.vertices = self.vertices.astype(np.float32)
        drawn = rng.uniform(0.0, 1.0)
        tone = drawn if tone is None else tone
        skin = (1 - tone) * np.array([0.36, 0.21, 0.15]) + tone * np.array([0.91, 0.70, 0.59])
        self.skin = np.clip(skin + rng.normal(0, 0.02, 3), 0.08, 0.95)
        kinds = np.array(
            [[0.04, 0.03, 0.03], [0.22, 0.13, 0.08], [0.62, 0.45, 0.25], [0.5, 0.5, 0.5]]
        )
        self.hair = np.clip(
            kinds[rng.choice(4, p=[0.45, 0.3, 0.15, 0.1])] * rng.uniform(0.7, 1.2), 0, 1
        )
        irises = np.array(
            [[0.18, 0.09, 0.04], [0.30, 0.20, 0.08], [0.22, 0.34, 0.46], [0.25, 0.36, 0.22]]
        )
        self.iris = irises[rng.integers(4)] * rng.uniform(0.8, 1.2)
        self.lips = np.clip(
            self.skin * np.array([0.9, 0.70, 0.72]) + rng.normal(0, 0.02, 3), 0.05, 0.9
        )
        self.brow_width = rng.uniform(9.0, 17.0)  # pixels of the atlas
        self.hairline = rng.uniform(2.8, 5.0)  # cm above the brows
        self.teeth = np.array([0.88, 0.85, 0.77]) * rng.uniform(0.9, 1.0)
        self.beard, self.glasses, self.moles, self.roughness = "none", None, 0, 1.0
        if varied:
            self._vary(np.random.default_rng([seed, 6]))

    def _vary(self, rng):
        """Draw what not everybody has."""
        self.beard = rng.choice(["none", "stubble", "full", "moustache", "goatee"],
                                p=[0.6, 0.15, 0.13, 0.06, 0.06])  # fmt: skip
        self.moles = rng.integers(1, 9) if rng.random() < 0.4 else 0
        self.roughness = rng.uniform(0.6, 2.2)
        self.iris = self.iris * rng.uniform(0.7, 1.5)
        self.teeth = self.teeth * rng.uniform(0.85, 1.08, 3)
        if rng.random() < 0.25:
            self.lips = np.clip(rng.uniform([0.35, 0.05, 0.08], [0.8, 0.3, 0.35]), 0, 1)
        if rng.random() < 0.12:  # half width and height in cm, colour, width of the rim in cm
            self.glasses = (rng.uniform(2.4, 3.0), rng.uniform(1.6, 2.5),
                            rng.uniform(0, 0.5, 3) ** 2, rng.uniform(0.08, 0.35))  # fmt: skip

    @cached_property
    def atlas(self):
        """(ATLAS, ATLAS, 3) float32 RGB: skin, lips, brows, lid lines and hair, unrolled."""
        rng = np.random.default_rng([self.seed, 2])
        landmarks = self.model.neutral[self.model.landmarks]
        place = _atlas_place(landmarks)
        mottle = 1 + 0.03 * _clouds(rng, ATLAS, 20)
        mottle = mottle + 0.025 * self.roughness * _clouds(rng, ATLAS, 3)
        paint = (self.skin * mottle[..., None]).astype(np.float32)
        for side in (2, 14):  # cheeks, a little redder
            middle = (place[side] + 2 * place[30]) / 3
            blush = np.zeros((ATLAS, ATLAS), np.float32)
            cv2.circle(blush, tuple(int(c) for c in middle), 28, 1.0, -1)
            blush = cv2.GaussianBlur(blush, (0, 0), 16)[..., None]
            paint *= 1 + blush * np.array([0.05, -0.06, -0.05], np.float32)
        for _ in range(self.moles):
            mole = np.zeros((ATLAS, ATLAS), np.float32)
            at = rng.uniform(place[:17].min(0), place[:17].max(0)).astype(int)
            cv2.circle(mole, tuple(int(c) for c in at), int(rng.integers(1, 4)), 1.0, -1)
            paint = self._lay(paint, self.skin * 0.4, 0.8 * cv2.GaussianBlur(mole, (0, 0), 0.8))
        if self.beard != "none":
            paint = self._lay(paint, *self._beard(rng, place))
        lips = self._area(place[48:60], 1.5)
        paint = self._lay(paint, self.lips * (1 + 0.05 * _clouds(rng, ATLAS, 2))[..., None], lips)
        for eye in (range(36, 42), range(42, 48)):
            line = self._stroke(place[list(eye)], 2, closed=True)
            paint = self._lay(paint, self.skin * 0.35, 0.8 * line)
        for brow in (range(17, 22), range(22, 27)):
            hairs = self._brow(rng, place[list(brow)], inner_last=brow[0] == 17)
            paint = self._lay(paint, self.hair * 0.9, hairs)
        return self._lay(paint, *self._hair(rng, landmarks))

    def _brow(self, rng, points, inner_last):
        """How much of each pixel is hair of a brow: many short strokes along its line."""
        cover = np.zeros((ATLAS, ATLAS), np.uint8)
        path = points if inner_last else points[::-1]
        for _ in range(420):
            along = rng.uniform(0, len(path) - 1.001)
            start = int(along)
            here = path[start] + (along - start) * (path[start + 1] - path[start])
            thick = self.brow_width * (0.45 + 0.55 * along / (len(path) - 1))
            here = here + np.array([0, rng.normal() * thick * 0.4])
            ahead = path[0] - path[-1]
            hair = ahead / np.linalg.norm(ahead) * rng.uniform(6, 12) + [0, rng.uniform(-5, 1)]
            ends = [tuple(round(c * 8) for c in p) for p in (here, here + hair)]
            cv2.line(cover, *ends, int(rng.uniform(110, 220)), 1, cv2.LINE_AA, 3)
        return cv2.GaussianBlur(cover, (0, 0), 1.0).astype(np.float32) / 255

    def _beard(self, rng, place):
        """Colour and cover of the beard: around mouth and chin, or up to the ears."""
        around = place[48:60].mean(0)
        chin = around + (place[5:12] - around) * 1.12
        jaw = np.concatenate([place[1:16] + np.array([0, 14]), place[[54, 48]] - np.array([0, 2])])
        low = np.concatenate([place[[48]], chin, place[[54]]])
        top = np.concatenate([place[[31, 33, 35]] + [0, 5], place[[54, 52, 51, 50, 48]] + [0, 3]])
        areas = {"full": (jaw, top), "stubble": (jaw, top), "goatee": (low, top),
                 "moustache": (top,)}[self.beard]  # fmt: skip
        cover = np.zeros((ATLAS, ATLAS), np.float32)
        for area in areas:
            cover = np.maximum(cover, self._area(area, 5.0 if area is not top else 2.5))
        hairs = cv2.GaussianBlur(rng.normal(size=(ATLAS, ATLAS)).astype(np.float32), (0, 0),
                                 sigmaX=0.9, sigmaY=2.5)  # fmt: skip
        hairs = hairs / hairs.std()
        if self.beard == "stubble":
            cover = cover * np.clip(0.35 + 0.2 * hairs, 0, 0.8)
            return np.broadcast_to(self.hair * 0.8, (ATLAS, ATLAS, 3)), cover
        cover = cover * np.clip(0.85 + 0.25 * hairs, 0, 1)
        return self.hair * np.clip(0.9 + 0.35 * hairs, 0.3, 1.9)[..., None], cover

    def _hair(self, rng, landmarks):
        """Colour and cover of the hair on the head: above a line that falls towards the neck."""
        x = (np.arange(ATLAS) / ATLAS - 0.5) * 2 * np.pi  # turn around the head, 0 in front
        y = BOTTOM + HEIGHT * (1 - np.arange(ATLAS) / ATLAS)
        top = landmarks[19:25, 1].mean() + self.hairline
        line = np.interp(np.abs(x), [0, 0.6, 0.95, 1.25, 1.95, 2.4, np.pi],
                         [top, top - 0.2, top - 2.5, 6.2, 6.2, -6.0, -8.0])  # fmt: skip
        edge = line[None] + 0.35 * _clouds(rng, ATLAS, 5)
        cover = np.clip((y[:, None] - edge) * 1.6, 0, 1).astype(np.float32)
        strands = rng.normal(size=(ATLAS, ATLAS)).astype(np.float32)
        strands = cv2.GaussianBlur(strands, (0, 0), sigmaX=1.2, sigmaY=14)
        shade = 1 + 0.22 * strands / strands.std() + 0.12 * _clouds(rng, ATLAS, 12)
        return self.hair * np.clip(shade, 0.4, 1.8)[..., None], cover

    @staticmethod
    def _area(points, blur):
        cover = np.zeros((ATLAS, ATLAS), np.float32)
        cv2.fillPoly(cover, [np.int32(np.round(points * 8))], 1.0, cv2.LINE_8, 3)
        return cv2.GaussianBlur(cover, (0, 0), blur)

    @staticmethod
    def _stroke(points, width, closed):
        cover = np.zeros((ATLAS, ATLAS), np.uint8)
        cv2.polylines(cover, [np.int32(np.round(points * 8))], closed, 255, width, cv2.LINE_AA, 3)
        return cv2.GaussianBlur(cover, (0, 0), 1.0).astype(np.float32) / 255

    @staticmethod
    def _lay(below, colour, cover):
        cover = cover[..., None]
        return (below * (1 - cover) + colour * cover).astype(np.float32)


def _wander(rng, frames, seconds, most):
    """(frames,) smooth motion within -most..most that changes in about so many seconds."""
    curve = gaussian_filter1d(rng.normal(size=frames + 200), seconds * FPS)[100:-100]
    return most * curve / (np.abs(curve).max() + 1e-9)


class Performance:
    """What somebody does, and where: the same for everybody; equal seeds are the same.

    Attributes:
        pose: (n, 3) yaw, pitch, roll in degrees.
        weights: name of an expression -> (n,) weight.
        jaw, blink: (n,) how far open, and how far closed, 0..1.
    """

    def __init__(self, seed, seconds=4.0, scene=None):
        """`scene`: seed of light and room; two performances may share one. None is `seed`."""
        self.seed, self.frames = seed, round(seconds * FPS)
        n, rng = self.frames, np.random.default_rng([seed, 3])
        self.pose = np.stack([_wander(rng, n, t, a) for t, a in ((0.9, 25), (0.8, 9), (0.8, 6))], 1)
        syllables = np.abs(np.sin(np.cumsum(rng.uniform(0.2, 0.55) + _wander(rng, n, 0.3, 0.15))))
        loud = np.clip(0.6 + _wander(rng, n, 0.4, 0.8), 0, 1)  # with pauses
        self.jaw = 0.6 * syllables * loud
        self.blink = np.zeros(n)
        start = int(rng.uniform(0.3, 1.2) * FPS)
        while start < n - len(BLINK):
            self.blink[start : start + len(BLINK)] = BLINK
            start += int(rng.uniform(1.2, 3.5) * FPS)
        gaze_x, gaze_y = _wander(rng, n, 0.5, 0.6), _wander(rng, n, 0.5, 0.4)
        smile, raised, frown = (np.clip(_wander(rng, n, t, 1.0), 0, 1) for t in (1.1, 0.6, 0.7))
        vowel = _wander(rng, n, 0.15, 1.0)
        both = {
            "mouthSmile": 0.7 * smile, "cheekSquint": 0.4 * smile, "browInnerUp": 0.7 * raised,
            "browOuterUp": 0.5 * raised, "browDown": 0.6 * frown, "eyeBlink": self.blink,
            "mouthUpperUp": 0.4 * self.jaw, "mouthLowerDown": 0.5 * self.jaw,
            "mouthStretch": 0.6 * self.jaw * np.clip(vowel, 0, 1),
            "eyeLookUp": np.clip(gaze_y, 0, 1), "eyeLookDown": np.clip(-gaze_y, 0, 1),
        }  # fmt: skip
        self.weights = {f"{name}_{side}": w for name, w in both.items() for side in "LR"}
        self.weights |= {"jawOpen": self.jaw, "mouthFunnel": self.jaw * np.clip(-vowel, 0, 1)}
        for right, left in (("eyeLookIn_L", "eyeLookIn_R"), ("eyeLookOut_R", "eyeLookOut_L")):
            self.weights |= {right: np.clip(gaze_x, 0, 1), left: np.clip(-gaze_x, 0, 1)}
        scenery = np.random.default_rng([seed if scene is None else scene, 4])
        light = np.array([scenery.uniform(-0.9, 0.9), scenery.uniform(0.0, 0.8), 1.0])
        self.light = light / np.linalg.norm(light)
        self.light_colour = np.array([1, 0.95, 0.88]) ** scenery.uniform(-1, 1.2)
        self.ambient = scenery.uniform(0.28, 0.45)
        self.room = self._draw_room(scenery)

    @staticmethod
    def _draw_room(rng):
        """(64, 64, 3) float RGB: a wall with a few things out of focus."""
        down = np.linspace(0, 1, 64)[:, None, None]
        room = (1 - down) * rng.uniform(0.2, 0.7, 3) + down * rng.uniform(0.15, 0.6, 3)
        room = np.ascontiguousarray(np.broadcast_to(room, (64, 64, 3)))
        for _ in range(6):
            corner, size = rng.integers(-8, 60, 2), rng.integers(6, 22, 2)
            ends = [tuple(int(v) for v in p) for p in (corner, corner + size)]
            cv2.rectangle(room, *ends, rng.uniform(0.1, 0.8, 3).tolist(), -1)
        room = 0.45 * room + 0.55 * room.mean(2, keepdims=True)  # rooms are not very colourful
        return cv2.GaussianBlur(room, (0, 0), 3.0)


class Scene(Performance):
    """One moment of a performance, drawn wide: any pose, face and light; equal seeds are the same.

    For training what faces may do, where a `Performance` is one that somebody might film.
    """

    def __init__(self, seed, model):
        super().__init__(seed, seconds=2.0)
        rng = np.random.default_rng([seed, 7])
        self.frames = 1
        self.pose = np.clip(rng.normal(0, [17, 8, 6], (1, 3)), [-45, -22, -25], [45, 22, 25])
        weights = dict.fromkeys(model.expression_names, 0.0)
        for name in rng.choice(model.expression_names[2:], rng.integers(0, 5), replace=False):
            if "Look" not in name:  # anything a face can do, on one side or both
                both = name[:-1] + ("R" if name[-1] == "L" else "L")
                amount = rng.uniform(0, 0.7) ** 1.5
                weights[name] = amount
                if both in weights and rng.random() < 0.7:
                    weights[both] = amount
        talks, smiles = rng.random() < 0.6, rng.random() < 0.4
        jaw = rng.beta(1.2, 2.0) * rng.choice([0.5, 0.9]) if talks else 0.0
        smile, vowel = rng.uniform(0.1, 1.0) * smiles, rng.uniform(-1, 1)
        blink = rng.choice([0.0, rng.uniform(0, 1), rng.uniform(0.85, 1)], p=[0.6, 0.25, 0.15])
        side = rng.uniform(-0.8, 0.8) * (rng.random() < 0.8)
        up = rng.uniform(-0.7, 0.7) * (rng.random() < 0.7)
        brow = rng.uniform(-1, 1) * (rng.random() < 0.6)
        more = {
            "mouthSmile": smile, "cheekSquint": 0.5 * smile, "eyeBlink": blink,
            "browInnerUp": max(0, brow) * 0.9, "browOuterUp": max(0, brow) * 0.7,
            "browDown": max(0, -brow) * 0.8, "mouthUpperUp": 0.45 * jaw,
            "mouthLowerDown": 0.55 * jaw, "mouthStretch": 0.6 * jaw * max(0, vowel),
            "eyeLookUp": max(0, up), "eyeLookDown": max(0, -up),
        }  # fmt: skip
        more = {f"{name}_{s}": amount for name, amount in more.items() for s in "LR"}
        more |= {"jawOpen": jaw, "mouthFunnel": jaw * max(0, -vowel)}
        more |= {"eyeLookIn_L": max(0, side), "eyeLookOut_R": max(0, side)}
        more |= {"eyeLookIn_R": max(0, -side), "eyeLookOut_L": max(0, -side)}
        for name, amount in more.items():
            weights[name] = min(1.2, weights[name] + amount)
        self.weights = {name: np.array([amount]) for name, amount in weights.items() if amount}
        self.jaw, self.blink = np.array([jaw]), np.array([blink])
        light = np.array([rng.uniform(-1.6, 1.6), rng.uniform(-0.5, 1.3), 1.0])
        self.light = light / np.linalg.norm(light)
        self.light_colour = self.light_colour * rng.uniform(0.55, 1.15)
        self.ambient = rng.uniform(0.15, 0.6)


def rotation(pose):
    """(3, 3) that maps points of the upright head to points of the turned one."""
    yaw, pitch, roll = np.radians(pose)
    c, s = np.cos, np.sin
    turn = np.array([[c(yaw), 0, s(yaw)], [0, 1, 0], [-s(yaw), 0, c(yaw)]])
    nod = np.array([[1, 0, 0], [0, c(pitch), -s(pitch)], [0, s(pitch), c(pitch)]])
    tilt = np.array([[c(roll), -s(roll), 0], [s(roll), c(roll), 0], [0, 0, 1]])
    return tilt @ nod @ turn


def rasterise(points, depth, triangles, size):
    """Which triangle is nearest at each pixel, and where inside it.

    Args:
        points: (V, 2) float, (x, y) in pixels, pixel centres at whole numbers.
        depth: (V,), larger is nearer.
        triangles: (T, 3) int, anticlockwise seen from outside (y up); others are not drawn.
        size: side of the square picture in pixels.

    Returns:
        pixels (K,) flat index, triangle (K,), barycentric (K, 3).
    """
    corner = points[triangles]
    low = np.clip(np.ceil(corner.min(1)), 0, size).astype(np.int64)
    high = np.clip(np.floor(corner.max(1)), -1, size - 1).astype(np.int64)
    (x0, y0), (x1, y1), (x2, y2) = (corner[:, k].T for k in range(3))
    area = (y1 - y2) * (x0 - x2) + (x2 - x1) * (y0 - y2)
    wide, tall = (np.maximum(high - low + 1, 0)).T
    seen = np.flatnonzero((area < -1e-9) & (wide * tall > 0))
    count = (wide * tall)[seen]
    which = np.repeat(seen, count)
    step = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    x, y = low[which, 0] + step % wide[which], low[which, 1] + step // wide[which]
    dx, dy, over = x - x2[which], y - y2[which], 1.0 / area[which]
    u = ((y1 - y2)[which] * dx + (x2 - x1)[which] * dy) * over
    v = ((y2 - y0)[which] * dx + (x0 - x2)[which] * dy) * over
    inside = (u >= -1e-4) & (v >= -1e-4) & (u + v <= 1 + 1e-4)
    which, pixel, u, v = which[inside], (y * size + x)[inside], u[inside], v[inside]
    weight = np.stack([u, v, 1 - u - v], 1).astype(np.float32)
    order = np.argsort((depth[triangles[which]] * weight).sum(1), kind="stable")
    nearest = np.full(size * size, -1)
    nearest[pixel[order]] = order  # of several, the last is kept: the nearest
    pixels = np.flatnonzero(nearest >= 0)
    return pixels, which[nearest[pixels]], weight[nearest[pixels]]


def _vertex_normals(vertices, triangles):
    corner = vertices[triangles]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    flat = triangles.ravel()
    sums = [np.bincount(flat, np.repeat(across[:, k], 3), len(vertices)) for k in range(3)]
    normal = np.stack(sums, 1)
    return (normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9)).astype(np.float32)


def _colours(person, triangle, neutral):
    """(K, 3) float colours before light, and (K,) how shiny, of points on the neutral head."""
    model = person.model
    place = _atlas_place(neutral).reshape(-1, 1, 2)
    chunks = [cv2.remap(person.atlas, place[i : i + 30000], None, cv2.INTER_LINEAR,
                        borderMode=cv2.BORDER_REPLICATE)[:, 0]
              for i in range(0, len(place), 30000)]  # fmt: skip
    colour, shine = np.concatenate(chunks), np.full(len(neutral), 0.09)
    deep = np.clip((neutral[:, 2:] - 4.0) / 6.5, 0.15, 1.0) ** 1.5  # little light in the mouth
    for part, tone in (
        (model.is_mouth, (0.35, 0.12, 0.12)),
        (model.material == "M_GumsTongue", (0.60, 0.26, 0.26)),
        (model.material == "M_Teeth", person.teeth),
    ):
        here = part[triangle]
        colour[here] = np.asarray(tone) * deep[here]
    for side in ("Left", "Right"):
        part, centre = model.eye(side)
        here = part[triangle]
        ray = neutral[here] - centre
        ray /= np.linalg.norm(ray, axis=1, keepdims=True) + 1e-9
        angle = np.arccos(np.clip(ray[:, 2], -1, 1))
        fibres = 1 + 0.25 * np.sin(23 * np.arctan2(ray[:, 1], ray[:, 0]) + person.seed)
        ring = np.clip((0.44 - angle) / 0.08, 0.35, 1)
        iris = person.iris * (fibres * ring)[:, None]
        white = np.array([0.84, 0.81, 0.79]) * (1 - 0.25 * np.clip(angle - 0.5, 0, 1))[:, None]
        eye = np.where(angle[:, None] < 0.43, iris, white)
        colour[here], shine[here] = np.where(angle[:, None] < 0.18, 0.02, eye), 0.45
    return colour, shine


def _wear_glasses(picture, person, landmarks, project, yaw):
    """Draw the rims, the bridge and the near temple of a person's glasses onto a picture."""
    wide, high, colour, rim = person.glasses
    turn = np.linspace(0, 2 * np.pi, 40)
    middles = [landmarks[eye].mean(0) for eye in (slice(36, 42), slice(42, 48))]
    front = max(landmarks[27, 2], landmarks[36:48, 2].max()) + 0.5
    across = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.7 * wide
    lines = []
    for middle in middles:
        at = np.array([middle[0], middle[1] - 0.3, front])
        lines.append(at + np.stack([across, np.sin(turn) * high, 0 * turn], 1))
    inner = [m[0] - s * wide for m, s in zip(middles, (-1, 1), strict=True)]
    lines.append(np.array([[x, middles[0][1] + 0.2, front] for x in inner]))
    near = 0 if yaw > 0 else 1
    edge = middles[near][0] + (-1, 1)[near] * wide
    ear = landmarks[(0, 16)[near]]
    lines.append(np.array([[edge, middles[near][1] + 0.4, front],
                           [ear[0] + (-1, 1)[near] * 0.3, ear[1] + 1.0, ear[2]]]))  # fmt: skip
    for line in lines:
        places, scale = project(line)
        cv2.polylines(picture, [np.int32(np.round(places * 8))], False, colour.tolist(),
                      max(1, round(rim * scale)), cv2.LINE_AA, 3)  # fmt: skip


def render(person, performance, frame, size=256, oversampling=2, zoom=1.0):
    """One picture of somebody doing something; `zoom` above 1 comes closer.

    Returns:
        image (size, size, 3) uint8 RGB, landmarks (68, 2) float (x, y) in pixels, Multi-PIE order.

    Raises:
        IndexError: if the performance has no such frame.
    """
    if not 0 <= frame < performance.frames:
        raise IndexError(f"expected a frame in 0..{performance.frames - 1}, got {frame}")
    model, side = person.model, round(size * oversampling)
    oversampling = side / size
    weight = np.zeros(len(model.expression_names), np.float32)
    for name, values in performance.weights.items():
        weight[model.expression_names.index(name)] = values[frame]
    vertices = person.vertices + (weight @ model.expression).reshape(-1, 3)
    turn = rotation(performance.pose[frame])
    turned = ((vertices - ROTATION_CENTRE) @ turn.T).astype(np.float32)

    def project(places, turned=None):
        turned = (places - ROTATION_CENTRE) @ turn.T if turned is None else turned
        scale = side * FOCAL * zoom / (CAMERA_Z - turned[:, 2])
        return side / 2 + turned[:, :2] * [1, -1] * scale[:, None], float(scale.mean())

    away = CAMERA_Z - turned[:, 2]
    points, _ = project(None, turned)
    pixels, triangle, inside = rasterise(points, -away, model.triangles, side)
    corners, inside = model.triangles[triangle], inside[..., None]
    normal = (_vertex_normals(turned, model.triangles)[corners] * inside).sum(1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    colour, shine = _colours(person, triangle, (model.neutral[corners] * inside).sum(1))
    halfway = performance.light + np.array([0, 0, 1])
    halfway = halfway / np.linalg.norm(halfway)
    diffuse = 0.75 * np.clip((normal @ performance.light + 0.15) / 1.15, 0, 1)  # skin lets light by
    lit = colour * (performance.ambient + diffuse[:, None] * performance.light_colour)
    lit += (shine * np.clip(normal @ halfway, 0, 1) ** 40)[:, None]
    picture = cv2.resize(performance.room, (side, side), interpolation=cv2.INTER_CUBIC)
    picture.reshape(-1, 3)[pixels] = lit
    if person.glasses is not None:
        yaw = performance.pose[frame][0]
        _wear_glasses(picture, person, vertices[model.landmarks], project, yaw)
    picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng([performance.seed, 5, frame]).normal(0, 0.006, (size, size, 1))
    image = np.clip(np.clip(picture, 0, 1) ** 0.87 + grain, 0, 1) * 255
    landmarks = (points[model.landmarks] + 0.5) / oversampling - 0.5
    return image.round().astype(np.uint8), landmarks
