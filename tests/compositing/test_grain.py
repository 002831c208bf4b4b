"""pytest tests/compositing/test_grain.py: the film's grain and softness on a drawn face."""

import cv2
import numpy as np
import pytest

from deepfake_utils.compositing.blending import paste_face
from deepfake_utils.compositing.grain import add_grain, grain_level, soften
from deepfake_utils.faces import align_face, face_mask
from deepfake_utils.samples import load_truth, sample_clips
from deepfake_utils.video import read_frames

WHOLE = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # the mask is as large as the frame


def noisy(image, sigma, rng, blotches=0.0):
    """The image with grain of that standard deviation; `blotches` is their width in pixels."""
    noise = rng.normal(0.0, 1.0, image.shape[:2]).astype(np.float32)
    if blotches:
        noise = cv2.GaussianBlur(noise, (0, 0), blotches)
    noise *= sigma / noise.std()
    return np.uint8(np.clip(np.rint(image + noise[..., None]), 0, 255))


@pytest.fixture(scope="module")
def clean(frame):
    """Person A without skin texture: edges are still there."""
    return cv2.edgePreservingFilter(frame, flags=1, sigma_s=20, sigma_r=0.15)


@pytest.fixture(scope="module")
def mask(points):
    return face_mask(points, (384, 384))


@pytest.fixture(scope="module")
def drawn(frame, points, mask):
    """Person A with a face as soft as a small network draws it."""
    face = align_face(frame, points, 64, 0.75)
    soft = cv2.GaussianBlur(face.image, (0, 0), 1.0)
    small = face_mask(face.landmarks, (64, 64))
    return paste_face(frame, soft, face.matrix, small / max(float(small.max()), 1e-6))


@pytest.fixture(scope="module")
def both():
    """The same moment with person B and with person A, and their landmarks."""
    clips, truth = sample_clips(), load_truth()
    b, a = next(iter(read_frames(clips.person_b_as_a))), next(read_frames(clips.person_a, 14.0))
    return (b, truth.landmarks_b_as_a[0]), (a, truth.landmarks_a[350])


def flat_places(image, mask):
    """Skin without edges."""
    grey = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), 2.0), cv2.COLOR_RGB2GRAY)
    edges = cv2.dilate(np.abs(cv2.Laplacian(grey, cv2.CV_32F)), np.ones((9, 9)))
    return (mask > 0.98) & (edges < np.quantile(edges[mask > 0.98], 0.4))


def spread(image, before, where):
    """Standard deviation of the brightness of what was added."""
    return (image.astype(float) - before).mean(axis=2)[where].std()


# Grain -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [2.0, 4.0, 8.0])
def test_white_noise_is_measured_among_the_edges_of_a_face(clean, mask, rng, sigma):
    own = grain_level(clean, mask)
    wanted = np.hypot(sigma, own)
    assert own < 1.5
    assert grain_level(noisy(clean, sigma, rng), mask) == pytest.approx(wanted, rel=0.15)


def test_a_smooth_picture_has_no_grain(mask):
    slope = np.linspace(40, 200, 384, dtype=np.float32)[:, None, None]
    picture = np.uint8(np.broadcast_to(slope, (384, 384, 3)))
    assert grain_level(picture, mask) < 0.4  # the steps of 8 bits
    assert grain_level(picture, np.zeros_like(mask)) == 0.0


@pytest.mark.parametrize(("sigma", "blotches"), [(3.0, 0.0), (6.0, 0.0), (6.0, 0.7)])
def test_a_pasted_face_gets_grain_as_strong_as_the_films(clean, drawn, mask, rng, sigma, blotches):
    film = noisy(clean, sigma, rng, blotches)
    result = add_grain(film, drawn, WHOLE, mask)
    skin = flat_places(clean, mask)
    assert spread(drawn, cv2.GaussianBlur(drawn, (0, 0), 2.5), skin) < 0.51 * sigma
    assert spread(result, drawn, skin) == pytest.approx(spread(film, clean, skin), rel=0.2)


def test_of_wide_blotches_most_come_over(clean, drawn, mask, rng):
    """What is wider cannot be told from the shades of a face."""
    film = noisy(clean, 6.0, rng, 1.2)
    skin = flat_places(clean, mask)
    added = spread(add_grain(film, drawn, WHOLE, mask), drawn, skin)
    assert 0.65 < added / spread(film, clean, skin) < 1.1


def test_no_rim_lacks_grain(clean, drawn, mask, rng):
    """Half film and half drawing has the grain of the film, too: it is the same grain."""
    film = noisy(clean, 6.0, rng)
    share = mask[..., None]
    pasted = np.uint8(np.rint(film + share * (drawn - film.astype(np.float32))))
    without = clean + share * (drawn - clean.astype(np.float32))
    rim = (mask > 0.3) & (mask < 0.7)
    rim &= cv2.GaussianBlur(flat_places(clean, (mask > 0) * 1.0) * 1.0, (0, 0), 2.0) > 0.3
    assert rim.sum() > 200
    assert spread(pasted, without, rim) < 4.0
    result = add_grain(film, pasted, WHOLE, mask)
    assert spread(result, without, rim) == pytest.approx(6.0, rel=0.2)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_face_that_fades_out_keeps_the_films_grain(clean, drawn, mask, rng, share):
    """As of a head that turns away: what is mixed of film and drawing has the film's grain."""
    film, thin = noisy(clean, 6.0, rng), mask * np.float32(share)
    alpha = thin[..., None]
    pasted = np.uint8(np.rint(film + alpha * (drawn - film.astype(np.float32))))
    without = clean + alpha * (drawn - clean.astype(np.float32))
    result = add_grain(film, pasted, WHOLE, thin)
    skin = flat_places(clean, mask)
    assert spread(result, without, skin) == pytest.approx(6.0, rel=0.2)


def test_equal_frames_get_equal_grain_and_grain_that_stands_still_does(clean, drawn, mask, rng):
    film = noisy(clean, 5.0, rng)
    first, again = (add_grain(film, drawn, WHOLE, mask) for _ in range(2))
    assert np.array_equal(first, again)
    brighter = np.uint8(np.minimum(drawn.astype(int) + 12, 255))
    moved = add_grain(film, brighter, WHOLE, mask).astype(float) - brighter
    skin = flat_places(clean, mask) & (brighter.max(axis=2) < 240)
    stays = np.corrcoef((first.astype(float) - drawn)[skin].ravel(), moved[skin].ravel())[0, 1]
    assert stays > 0.98


def test_grain_of_another_moment_is_other_grain(clean, drawn, mask, rng):
    skin = flat_places(clean, mask)
    first, second = (
        (add_grain(noisy(clean, 5.0, rng), drawn, WHOLE, mask).astype(float) - drawn)[skin].ravel()
        for _ in range(2)
    )
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.2


def test_features_of_the_filmed_person_are_not_carried_over(clean, mask, rng):
    film = noisy(clean, 3.0, rng)
    face = np.full_like(film, (180, 140, 120))
    added = np.abs(add_grain(film, face, WHOLE, mask).astype(float) - face).mean(axis=2)
    strongest = np.abs(film.astype(float) - cv2.GaussianBlur(film, (0, 0), 2.5)).mean(axis=2)
    assert strongest[mask > 0.9].max() > 40  # lips, lashes, brows
    assert added.max() < 14
    blurred = cv2.GaussianBlur(added, (0, 0), 3.0)[cv2.erode(mask, np.ones((15, 15))) > 0.98]
    assert blurred.max() < 1.8 * blurred.mean()  # no outline of eyes or mouth
    assert blurred.min() > 0.25 * blurred.mean()  # nor a place without grain


def test_a_face_with_grain_of_its_own_gets_none_more(clean, mask, rng):
    film, face = noisy(clean, 5.0, rng), noisy(clean, 5.0, rng)
    result = add_grain(film, face, WHOLE, mask)
    assert grain_level(result, mask) == pytest.approx(grain_level(film, mask), rel=0.1)
    half = noisy(clean, 3.0, rng)
    result = add_grain(film, half, WHOLE, mask)
    assert grain_level(result, mask) == pytest.approx(grain_level(film, mask), rel=0.2)


def test_only_the_face_gets_grain_and_as_much_as_wanted(clean, drawn, mask, rng):
    film, before = noisy(clean, 5.0, rng), drawn.copy()
    results = [add_grain(film, drawn, WHOLE, mask, amount) for amount in (0.0, 0.5, 1.0)]
    assert np.array_equal(drawn, before)
    assert np.array_equal(results[0], drawn) and not np.shares_memory(results[0], drawn)
    assert all(np.array_equal(each[mask == 0.0], drawn[mask == 0.0]) for each in results)
    skin = flat_places(clean, mask)
    half, whole = (spread(each, drawn, skin) for each in results[1:])
    assert half == pytest.approx(whole / 2.0, rel=0.1)


@pytest.mark.parametrize("shift", [(-330.0, 0.0), (0.0, 300.0), (1000.0, 0.0)])
def test_faces_at_the_frames_edge_and_beyond_it(clean, drawn, mask, rng, shift):
    film = noisy(clean, 5.0, rng)
    matrix = WHOLE.copy()
    matrix[:, 2] = shift
    result = add_grain(film, drawn, matrix, mask)
    assert result.shape == film.shape and result.dtype == np.uint8
    if shift[0] == 1000.0:
        assert np.array_equal(result, drawn)


def test_a_mask_of_another_size_lies_where_its_matrix_says(clean, drawn, mask, points, rng):
    film = noisy(clean, 5.0, rng)
    face = align_face(film, points, 96, 0.75)
    small = face_mask(face.landmarks, (96, 96))
    changed = (add_grain(film, drawn, face.matrix, small) != drawn).any(axis=2)
    inside = face_mask(points, (384, 384))
    assert changed[inside > 0.9].mean() > 0.8
    assert not changed[cv2.dilate(inside, np.ones((9, 9))) == 0.0].any()


# Softness --------------------------------------------------------------------------------------


def aligned(person, size, sigma=0.0):
    """A person's crop, blurred by so many pixels of the crop; its mask and matrix."""
    frame, points = person
    face = align_face(frame, points, size, 0.75)
    image = cv2.GaussianBlur(face.image, (0, 0), sigma) if sigma else face.image
    return image, face_mask(face.landmarks, (size, size)), face.matrix


@pytest.mark.parametrize("size", [64, 96, 128])
@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 2.5])
@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_a_face_gets_as_soft_as_the_film(both, rng, size, sigma, noise):
    sharp, mask, matrix = aligned(both[0], size)
    film = cv2.GaussianBlur(sharp, (0, 0), sigma)
    result = soften(sharp, noisy(film, noise, rng) if noise else film, mask, matrix)
    inside = mask > 0.5
    before, after = (np.abs(each.astype(float) - film)[inside].mean() for each in (sharp, result))
    assert after < 0.25 * before


@pytest.mark.parametrize("sigma", [1.5, 2.5])
def test_another_person_in_the_film_tells_how_soft_it_is(both, sigma):
    """B's face is drawn, A's was filmed out of focus."""
    sharp, mask, matrix = aligned(both[0], 96)
    film = aligned(both[1], 96, sigma)[0]
    result = soften(sharp, film, mask, matrix)
    wanted = cv2.GaussianBlur(sharp, (0, 0), sigma)
    inside = mask > 0.5
    before, after = (np.abs(each.astype(float) - wanted)[inside].mean() for each in (sharp, result))
    assert after < 0.35 * before


def test_a_face_softer_than_the_film_stays_as_it_is(both):
    film, mask, matrix = aligned(both[0], 96)
    soft = cv2.GaussianBlur(film, (0, 0), 1.5)
    assert soften(soft, film, mask, matrix) is soft
    assert soften(film, film, mask, matrix) is film
    grey = np.full_like(film, 128)
    assert soften(grey, grey, mask, matrix) is grey
    assert soften(film, grey, np.zeros_like(mask), matrix) is film


def test_a_face_that_gets_small_is_compared_as_small_as_it_is_seen(both):
    """A crop enlarged from a small face is soft, but the drawn one gets as small."""
    frame, points = both[0]
    small = cv2.resize(frame, (96, 96), interpolation=cv2.INTER_AREA)
    seen = align_face(small, (points + 0.5) / 4.0 - 0.5, 128, 0.75)
    sharp, mask, _ = aligned(both[0], 128)
    shrunk, result = (
        cv2.resize(each, (54, 54), interpolation=cv2.INTER_AREA)
        for each in (sharp, soften(sharp, seen.image, mask, seen.matrix))
    )
    kept = [cv2.Laplacian(each, cv2.CV_64F).std() for each in (shrunk, result)]
    assert kept[1] > 0.6 * kept[0]
    forgotten = soften(sharp, seen.image, mask, WHOLE)
    assert cv2.Laplacian(forgotten, cv2.CV_64F).std() < cv2.Laplacian(sharp, cv2.CV_64F).std() / 2


# What is refused -------------------------------------------------------------------------------


def test_what_is_no_picture_or_no_pair_is_refused(frame, mask):
    with pytest.raises(TypeError, match="frame: expected uint8"):
        add_grain(frame.astype(np.float32), frame, WHOLE, mask)
    with pytest.raises(ValueError, match=r"swapped: expected shape \(384, 384, 3\)"):
        add_grain(frame, frame[:200], WHOLE, mask)
    with pytest.raises(ValueError, match="face, filmed and mask of one size"):
        soften(frame, frame[:200], mask, WHOLE)
    with pytest.raises(TypeError, match="image: expected a numpy array"):
        grain_level(None, mask)
