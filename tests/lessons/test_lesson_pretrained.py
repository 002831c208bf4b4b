"""pytest tests/lessons/test_lesson_pretrained.py: what the lesson on the start measures."""

import dataclasses

import numpy as np
import pytest
import torch

from deepfake_utils.autoencoder import FaceSwapAutoencoder
from deepfake_utils.faces import mean_face
from deepfake_utils.images import to_image
from deepfake_utils.lessons.pretrained import (
    codes_of,
    draw_codes,
    grid_in_texture,
    layers_of,
    likeness,
    plot_idea,
    plot_likeness,
    read_across,
    same_moments,
    texture_image,
    with_dark_glasses,
)
from deepfake_utils.samples import load_truth


@pytest.fixture
def textured(tiny):
    model = FaceSwapAutoencoder(dataclasses.replace(tiny, shuffled_output=True, texture=24))
    with torch.no_grad():
        for decoder in model.decoders.values():
            decoder.texture.normal_()
            decoder.place.weight.mul_(30.0)  # else hardly anything moves
    return model.eval()


@pytest.fixture(scope="module")
def moments():
    return same_moments(size=64, stride=20)


@pytest.fixture
def faces():
    return torch.rand(3, 3, 32, 32)


def test_two_people_do_the_same_in_the_same_moments(moments):
    assert moments.a.shape == moments.b.shape == (5, 3, 64, 64)
    assert moments.inside_b.shape == (5, 1, 64, 64)
    assert set(moments.inside_b.unique().tolist()) == {0.0, 1.0}
    assert len(moments.jaw) == len(moments.blink) == len(moments.yaw) == 5
    known = load_truth()
    assert np.allclose(known.jaw_a[350::20], moments.jaw, atol=0.02)
    assert np.allclose(known.pose_a[350::20, 0], moments.yaw, atol=0.5)


def test_a_code_is_all_that_a_decoder_draws_from(textured, faces):
    codes = codes_of(textured, faces)
    assert codes.shape == (3, textured.config.code_size)
    with torch.inference_mode():
        for who in "AB":
            assert torch.allclose(draw_codes(textured, codes, who), textured(faces, who), atol=1e-6)


def test_likeness_does_not_see_what_shifts_all_codes_of_a_person():
    one = torch.randn(6, 20)
    table = likeness(one, 3.0 * one + torch.randn(20))
    assert table.shape == (6, 6)
    assert np.allclose(table.diagonal(), 1.0)
    assert (table.argmax(1) == np.arange(6)).all()
    assert abs(likeness(one, torch.randn(6, 20)).diagonal().mean()) < 0.5


def test_likeness_can_leave_out_what_varies_most():
    turn = torch.randn(8, 1) * torch.randn(20) * 10.0
    one, other = (turn + torch.randn(8, 20) for _ in "ab")
    assert likeness(one, other).diagonal().mean() > 0.9
    assert abs(likeness(one, other, without=1).diagonal().mean()) < 0.5
    mouth = torch.randn(8, 20)
    finer = likeness(turn + mouth, 2.0 * turn + mouth, without=1)
    assert finer.diagonal().mean() > 0.9


def test_a_line_reads_another_person_as_far_as_the_codes_mean_the_same(rng):
    values = rng.standard_normal(40)
    way = torch.randn(30)
    one, two = (torch.randn(40, 30) + 3 * torch.from_numpy(values)[:, None] * way for _ in "ab")
    assert read_across(one, two + 5.0, values) > 0.95
    assert read_across(one, -two, values) < -0.95
    assert abs(read_across(one, torch.randn(40, 30), values)) < 0.6


def test_layers_are_what_the_network_draws(textured, faces):
    layers = layers_of(textured, faces, "B")
    with torch.inference_mode():
        assert torch.allclose(layers.whole, textured(faces, "B"), atol=1e-6)
    assert layers.places.shape == (3, 32, 32, 2) and layers.share.shape == (3, 1, 32, 32)
    assert layers.share.min() >= 0.0 and layers.share.max() <= 1.0
    assert not torch.allclose(layers.coarse, layers.whole, atol=0.02)
    with torch.no_grad():
        textured.decoders["B"].texture.zero_()
    bare = layers_of(textured, faces, "B")
    assert torch.allclose(bare.coarse, bare.whole, atol=1e-6)


def test_a_texture_is_shown_around_grey_and_only_where_there_is_one(textured, tiny, faces):
    once, often = (texture_image(textured, "A", gain) for gain in (1.0, 4.0))
    assert once.shape == (24, 24, 3) and once.dtype == np.uint8
    away = [np.abs(each.astype(int) - 128) for each in (once, often)]
    assert away[1].mean() > away[0].mean() > 0
    plain = FaceSwapAutoencoder(tiny)
    for look in (lambda: texture_image(plain, "A"), lambda: layers_of(plain, faces, "A")):
        with pytest.raises(ValueError, match=r"expected a network with a texture.*texture=0"):
            look()


def test_the_grid_is_straight_where_nothing_moves_and_goes_along_where_it_does():
    ticks = (torch.arange(32) * 2 + 1) / 32 - 1.0
    own = torch.stack(torch.meshgrid(ticks, ticks, indexing="xy"), dim=-1)
    still, looks = grid_in_texture(own, 24, side=5)
    assert still.shape == looks.shape == (25, 2)
    assert np.allclose(still, looks, atol=1e-4)
    assert np.allclose(still.reshape(5, 5, 2)[2, 2], 11.5)  # the middle of 24 pixels
    _, right = grid_in_texture(own + torch.tensor([0.5, 0.0]), 24, side=5)
    assert np.allclose(right - still, [6.0, 0.0], atol=1e-4)


def test_dark_glasses_cover_both_eyes_and_little_else():
    points = mean_face(64, 0.75)
    covered = with_dark_glasses(torch.ones(2, 3, 64, 64), points)
    dark = (covered < 0.1).all(dim=1)
    for eye in (points[36:42], points[42:48]):
        for x, y in np.rint(eye).astype(int):
            assert dark[:, y, x].all()
    assert 0.05 < dark.float().mean() < 0.3
    assert (covered[:, :, 40:] == 1.0).all()


def test_the_idea_is_drawn_from_what_it_is_given(moments):
    shown, asked = (to_image(faces[0]) for faces in (moments.a, moments.b))
    axis = plot_idea(shown, np.arange(32.0), asked).axes[0]
    drawn = [np.asarray(image.get_array()) for image in axis.images]
    assert np.array_equal(drawn[0], shown) and np.array_equal(drawn[2], asked)
    assert sorted(drawn[1].ravel()) == list(range(32))


def test_tables_are_seen_on_one_scale():
    tables = {"one": np.eye(4), "two": -0.1 * np.eye(3)}
    figure = plot_likeness(tables)
    for axis, (title, table) in zip(figure.axes, tables.items(), strict=False):
        assert axis.get_title() == title
        assert np.array_equal(np.asarray(axis.images[0].get_array()), table)
        assert axis.images[0].get_clim() == (-1.0, 1.0)
    with pytest.raises(ValueError, match="at least one table"):
        plot_likeness({})
