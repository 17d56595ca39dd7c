"""Law: a sample picture is a pure function of its recipe, and its outline is known exactly.

Makes dermoscopy-like pictures without any photograph: skin, a pigmented lesion whose colour comes
from light absorbed by pigment of varying density, and what gets in the way (hairs, ruler, bubbles,
vignette). For demonstration only; a model's quality is judged on real images.

    python -m resources.samples.generate [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_fill_holes, gaussian_filter, label
from scipy.spatial import cKDTree

from engine.files import write_atomic

Field = NDArray[np.float64]

HEIGHT, WIDTH = 768, 1024
#: How strongly pigment and blood absorb red, green and blue light, per unit of density.
MELANIN_RGB = np.array([0.62, 1.02, 1.34])
BLOOD_RGB = np.array([0.10, 0.62, 0.50])


@dataclass(frozen=True)
class Recipe:
    """What one sample picture shows. Lengths in pixels, densities in optical depth."""

    stem: str
    seed: int
    skin_rgb: tuple[float, float, float]
    centre_rc: tuple[float, float]
    radius_px: float
    stretch: float = 1.2
    tilt: float = 0.0
    lobes: float = 0.10
    softness_px: float = 9.0
    density: float = 0.75
    redness: float = 0.25
    core: float = 0.6
    network: float = 0.35
    globules: int = 40
    streaks: float = 0.0
    hairs: int = 0
    ruler: bool = False
    bubbles: int = 0
    vignette: float = 0.0


RECIPES: tuple[Recipe, ...] = (
    Recipe(
        stem="sample_1_plain",
        seed=11,
        skin_rgb=(0.90, 0.745, 0.655),
        centre_rc=(388, 512),
        radius_px=185,
        stretch=1.28,
        tilt=0.4,
        softness_px=15,
        density=0.8,
        redness=0.2,
        core=0.75,
        network=0.45,
    ),
    Recipe(
        stem="sample_2_hair",
        seed=23,
        skin_rgb=(0.86, 0.70, 0.58),
        centre_rc=(372, 490),
        radius_px=205,
        stretch=1.12,
        tilt=-0.6,
        lobes=0.13,
        softness_px=17,
        density=0.55,
        redness=0.15,
        core=0.45,
        network=0.5,
        globules=14,
        hairs=22,
    ),
    Recipe(
        stem="sample_3_ruler",
        seed=37,
        skin_rgb=(0.93, 0.79, 0.67),
        centre_rc=(330, 545),
        radius_px=125,
        stretch=1.15,
        tilt=1.0,
        lobes=0.12,
        softness_px=14,
        density=0.95,
        core=0.9,
        network=0.2,
        globules=30,
        streaks=0.03,
        hairs=3,
        ruler=True,
        bubbles=7,
    ),
    Recipe(
        stem="sample_4_vignette",
        seed=58,
        skin_rgb=(0.85, 0.68, 0.64),
        centre_rc=(400, 500),
        radius_px=215,
        stretch=1.35,
        tilt=-0.25,
        lobes=0.17,
        softness_px=22,
        density=0.6,
        redness=0.42,
        core=0.8,
        network=0.28,
        globules=55,
        hairs=4,
        bubbles=12,
        vignette=1.0,
    ),
)


def make(recipe: Recipe) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Picture, uint8 (height, width, 3), and its true mask, bool (height, width)."""
    random = np.random.default_rng(recipe.seed)
    skin_hwc = _skin(recipe, random)
    inside_hw, depth_hw, mask_hw = _shape(recipe, random)
    melanin_hw = inside_hw * _pigment(recipe, random, depth_hw)
    # Redness reaches a little beyond the outline, as inflammation does.
    halo_hw = gaussian_filter(inside_hw, 16)
    blood_hw = recipe.redness * halo_hw * (0.55 + 0.45 * _noise(random, 45))
    absorbed_hwc = melanin_hw[..., None] * MELANIN_RGB + blood_hw[..., None] * BLOOD_RGB
    light_hwc = skin_hwc * np.exp(-absorbed_hwc)
    light_hwc = _gel(light_hwc, recipe, random)
    if recipe.ruler:
        light_hwc = _ruler(light_hwc)
    light_hwc = _hairs(light_hwc, recipe, random)
    light_hwc = _camera(light_hwc, recipe, random)
    return (light_hwc * 255 + 0.5).astype(np.uint8), mask_hw


def write(folder: Path) -> list[Path]:
    """Picture files of all recipes in `folder`; their masks go to `folder/masks`."""
    written = []
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    for recipe in RECIPES:
        picture_hwc, mask_hw = make(recipe)
        path = folder / f"{recipe.stem}.jpg"
        _save(path, picture_hwc, "JPEG", quality=88)
        mask_path = folder / "masks" / f"{recipe.stem}_segmentation.png"
        _save(mask_path, mask_hw.astype(np.uint8) * np.uint8(255), "PNG", optimize=True)
        written.append(path)
    return written


def _save(path: Path, pixels: NDArray[np.uint8], form: str, **options: int) -> None:
    content = BytesIO()
    Image.fromarray(pixels).save(content, form, **options)
    write_atomic(path, content.getvalue())


def _noise(random: np.random.Generator, scale_px: float, stretch: float = 1.0) -> Field:
    """Smooth noise, (height, width), mean 0 and deviation 1; `stretch` draws it out sideways."""
    # Drawn on a coarse grid and enlarged: a wide filter over every pixel would be slow.
    step = max(1, int(scale_px / 3))
    rows, columns = HEIGHT // step + 8, WIDTH // step + 8
    coarse = gaussian_filter(
        random.standard_normal((rows, columns)), (scale_px / step, stretch * scale_px / step)
    )
    field = coarse
    if step > 1:
        picture = Image.fromarray(coarse.astype(np.float32))
        enlarged = picture.resize((columns * step, rows * step), Image.Resampling.BICUBIC)
        field = np.asarray(enlarged, dtype=np.float64)
    field = field[:HEIGHT, :WIDTH]
    return (field - field.mean()) / field.std()


def _skin(recipe: Recipe, random: np.random.Generator) -> Field:
    """Healthy skin under uneven light, (height, width, 3), [0, 1]."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    angle = random.uniform(0, 2 * np.pi)
    slope = (np.cos(angle) * (columns / WIDTH - 0.5)) + np.sin(angle) * (rows / HEIGHT - 0.5)
    distance = np.hypot((rows / HEIGHT - 0.5), (columns / WIDTH - 0.5))
    light = 1.0 + 0.07 * slope - 0.16 * distance**2 + 0.012 * _noise(random, 160)
    melanin = 0.016 * _noise(random, 60) + 0.014 * _noise(random, 14) + 0.012 * _noise(random, 5)
    # Freckles: only the peaks of a noise darken.
    melanin += 0.05 * np.clip(_noise(random, 20) - 1.6, 0, None)
    blood = 0.035 * _noise(random, 80) + 0.02 * _noise(random, 22)
    # Fine vessels: the zero lines of a noise make branching threads.
    threads = np.exp(-((_noise(random, 26) / 0.05) ** 2))
    blood += 0.10 * gaussian_filter(threads, 1.5) * np.clip(_noise(random, 70), 0, None)
    furrows = _cells(random, spacing_px=17, jitter=0.48, width_px=2.2)
    relief = 0.020 * gaussian_filter(furrows, 0.9) + 0.009 * _noise(random, 2.0)
    absorbed = melanin[..., None] * MELANIN_RGB + blood[..., None] * BLOOD_RGB
    return np.array(recipe.skin_rgb) * (light - relief)[..., None] * np.exp(-absorbed)


def _shape(recipe: Recipe, random: np.random.Generator) -> tuple[Field, Field, NDArray[np.bool_]]:
    """Each pixel's share of lesion [0, 1] and depth in pixels (inside above 0), and the mask."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    rough = 0.055 * _noise(random, 34) + 0.03 * _noise(random, 13) + 0.014 * _noise(random, 5)
    down, across = rows - recipe.centre_rc[0], columns - recipe.centre_rc[1]
    along = np.cos(recipe.tilt) * across + np.sin(recipe.tilt) * down
    beside = np.cos(recipe.tilt) * down - np.sin(recipe.tilt) * across
    along /= np.sqrt(recipe.stretch)
    beside *= np.sqrt(recipe.stretch)
    angle = np.arctan2(beside, along)
    reach = np.ones_like(angle)
    for wave in range(2, 7):
        size = recipe.lobes * random.normal() / (wave - 1) ** 1.1
        reach += size * np.cos(wave * angle + random.uniform(0, 2 * np.pi))
    if recipe.streaks:
        strength = np.clip(np.cos(angle - random.uniform(0, 2 * np.pi)), 0.15, None)
        reach += recipe.streaks * strength * np.abs(np.sin(19 * angle + 2 * rough / 0.05)) ** 3
    ratio = np.hypot(along, beside) / (recipe.radius_px * reach) + rough
    depth_hw = (1 - ratio) * recipe.radius_px
    # The border is sharp here and soft there.
    softness_hw = recipe.softness_px * np.exp(0.45 * _noise(random, 90))
    inside_hw = 1 / (1 + np.exp(np.clip(-depth_hw / (0.55 * softness_hw), -40, 40)))
    return inside_hw, depth_hw, _largest(depth_hw > 0)


def _largest(mask_hw: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, _ = label(mask_hw)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    filled: NDArray[np.bool_] = binary_fill_holes(parts == sizes.argmax())
    return filled


def _pigment(recipe: Recipe, random: np.random.Generator, depth_hw: Field) -> Field:
    """Density of melanin inside the lesion, (height, width): patches, core, network, globules."""
    rise = np.clip(depth_hw / (0.75 * recipe.radius_px), 0, 1)
    patches = 0.22 * _noise(random, 60) + 0.15 * _noise(random, 24) + 0.08 * _noise(random, 8)
    density = recipe.density * (0.72 + 0.38 * rise) * np.exp(patches)
    # One or two dark places off the middle.
    dark = np.clip(_noise(random, 62) - 0.35, 0, 1.6) * rise**0.6
    density += recipe.core * dark * np.exp(0.25 * _noise(random, 7))
    # A pale, regressed place.
    density *= 1 - 0.45 * np.clip(_noise(random, 70) - 1.0, 0, 1) * rise
    mesh = gaussian_filter(_cells(random, spacing_px=13, jitter=0.5, width_px=3.6), 1.4)
    visible = np.clip(0.35 + 0.6 * _noise(random, 45), 0, 1.2) * (1.15 - 0.6 * rise)
    density += recipe.network * recipe.density * visible * (mesh - 0.35)
    density += _globules(recipe, random, depth_hw)
    grain = 0.06 * _noise(random, 2.4)
    return np.clip(density * (1 + grain), 0.02, None)


def _cells(random: np.random.Generator, spacing_px: float, jitter: float, width_px: float) -> Field:
    """Walls of an irregular honeycomb, (height, width), 1 on a wall and 0 between."""
    rows, columns = np.mgrid[-1 : HEIGHT / spacing_px + 2, -1 : WIDTH / spacing_px + 2]
    points = np.stack([rows, columns + 0.5 * (rows % 2)], axis=-1).reshape(-1, 2)
    points = (points + random.uniform(-jitter, jitter, points.shape)) * spacing_px
    # Bent and of varying thickness: nature draws no honeycomb with a compass.
    bent = np.stack(np.mgrid[0:HEIGHT, 0:WIDTH], axis=-1).astype(np.float64)
    bent += 0.16 * spacing_px * np.stack([_noise(random, 7), _noise(random, 7)], axis=-1)
    bent += 0.5 * spacing_px * np.stack([_noise(random, 40), _noise(random, 40)], axis=-1)
    pixels = bent.reshape(-1, 2)
    distances, _ = cKDTree(points, leafsize=4).query(pixels, k=2)
    gap = (distances[:, 1] - distances[:, 0]).reshape(HEIGHT, WIDTH)
    return np.exp(-((gap / (width_px * np.exp(0.35 * _noise(random, 22)))) ** 2))


def _globules(recipe: Recipe, random: np.random.Generator, depth_hw: Field) -> Field:
    """Density of round clumps of pigment, (height, width)."""
    density = np.zeros((HEIGHT, WIDTH))
    places = np.argwhere(depth_hw > 8)
    for row, column in places[random.integers(len(places), size=recipe.globules)]:
        radius = random.uniform(2.5, 6.5)
        reach = int(4 * radius)
        top, left = max(0, row - reach), max(0, column - reach)
        rows, columns = np.mgrid[top : row + reach, left : column + reach]
        rows, columns = rows[: HEIGHT - top], columns[: HEIGHT - top]
        away = np.hypot(rows - row, (columns - column) * random.uniform(0.8, 1.25)) / radius
        blob = random.uniform(0.15, 0.5) * np.exp(-(away**3))
        density[top : row + reach, left : column + reach] += blob[:, : WIDTH - left]
    return density


def _gel(light_hwc: Field, recipe: Recipe, random: np.random.Generator) -> Field:
    """The picture through contact gel: air bubbles and small reflections."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    bright = np.zeros((HEIGHT, WIDTH))
    for _ in range(recipe.bubbles):
        row, column = random.uniform(20, HEIGHT - 20), random.uniform(20, WIDTH - 20)
        radius = random.uniform(3, 11)
        # Farther away there is nothing of it, to the last bit.
        reach = int(radius) + 50
        near = np.s_[max(0, int(row) - reach) : int(row) + reach]
        near = (near, np.s_[max(0, int(column) - reach) : int(column) + reach])
        down, across = rows[near] - row, columns[near] - column
        away = np.hypot(down, across)
        lit = 0.6 + 0.4 * np.cos(np.arctan2(down, across) + 2.2)
        bright[near] += 0.30 * lit * np.exp(-(((away - radius) / 1.3) ** 2))
        bright[near] -= 0.20 * np.exp(-(((away - radius + 2.4) / 1.2) ** 2))
        bright[near] += 0.5 * np.exp(-(np.hypot(down + radius / 3, across + radius / 3) ** 2) / 3)
    # Skin glitters where its relief faces the lamp.
    glitter = np.clip(_noise(random, 1.6) - 2.9, 0, 1) * np.clip(_noise(random, 60), 0, 1.5)
    bright += 0.35 * gaussian_filter(glitter, 0.6)
    return light_hwc * (1 - np.clip(-bright, 0, 1))[..., None] + np.clip(bright, 0, 1)[..., None]


def _strokes(lines: Sequence[Sequence[tuple[float, float, float]]]) -> Field:
    """Cover of pen strokes, (height, width), [0, 1], from points (x, y, width in pixels)."""
    scale = 3
    sheet = Image.new("L", (WIDTH * scale, HEIGHT * scale))
    pen = ImageDraw.Draw(sheet)
    for line in lines:
        for (x0, y0, width), (x1, y1, _) in pairwise(line):
            ends = [(x0 * scale, y0 * scale), (x1 * scale, y1 * scale)]
            pen.line(ends, fill=255, width=max(1, round(width * scale)))
    small = sheet.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def _ruler(light_hwc: Field) -> Field:
    """The picture with a printed millimetre scale along the lower edge."""
    ticks, step, tilt = 60, 11.5, -0.035
    cosine, sine = np.cos(tilt), np.sin(tilt)

    def place(x: float, y: float) -> tuple[float, float, float]:
        return 170 + cosine * x - sine * y, 690 + sine * x + cosine * y, 1.7

    lines = [[place(0, 0), place(step * ticks, 0)]]
    for tick in range(ticks + 1):
        length = 26 if tick % 10 == 0 else 18 if tick % 5 == 0 else 11
        lines.append([place(step * tick, 0), place(step * tick, -length)])
    for letter in (0, 17):  # "mm"
        for left in (0, 6):
            arch = [(left, 34), (left, 24), (left + 3, 22), (left + 6, 24), (left + 6, 34)]
            lines.append([place(x + letter, y) for x, y in arch])
    ink_rgb = np.array([0.22, 0.19, 0.18])
    cover = gaussian_filter(_strokes(lines), 0.6)[..., None] * 0.85
    return light_hwc * (1 - cover) + ink_rgb * cover


def _hairs(light_hwc: Field, recipe: Recipe, random: np.random.Generator) -> Field:
    """The picture under hairs: curved, tapering, with a shadow and a thin highlight."""
    for hair in range(recipe.hairs):
        pale = hair % 7 == 6
        start = np.array([random.uniform(-80, WIDTH + 80), random.uniform(-80, HEIGHT + 80)])
        heading = random.normal(0.6, 0.55) + (np.pi if random.random() < 0.5 else 0.0)
        length = random.uniform(260, 900)
        bend, sway = random.normal(0, 1.3), random.normal(0, 0.5)
        width = random.uniform(1.6, 3.4)
        along = np.linspace(0, 1, 90)
        angles = heading + bend * along + sway * np.sin(2 * np.pi * along)
        x = start[0] + np.cumsum(np.cos(angles)) * length / 90
        y = start[1] + np.cumsum(np.sin(angles)) * length / 90
        widths = width * np.clip(1.15 - along**2.5, 0.25, 1)
        line = list(zip(x, y, widths, strict=True))
        cover = gaussian_filter(_strokes([line]), 0.7)
        shadow = np.roll(gaussian_filter(cover, 3.0), (3, 2), axis=(0, 1))
        light_hwc = light_hwc * (1 - 0.20 * shadow)[..., None]
        tone = np.array([0.72, 0.60, 0.50]) if pale else np.array([0.20, 0.135, 0.105])
        tone = tone * random.uniform(0.8, 1.25)
        opaque = (0.5 if pale else 0.88) * cover[..., None]
        light_hwc = light_hwc * (1 - opaque) + tone * opaque
        gleam = _strokes([[(px - 0.5, py - 0.6, w * 0.3) for px, py, w in line]])
        light_hwc = light_hwc + 0.10 * gaussian_filter(gleam, 0.6)[..., None]
    return light_hwc


def _camera(light_hwc: Field, recipe: Recipe, random: np.random.Generator) -> Field:
    """The picture as a camera gives it, [0, 1]: vignette, slight blur, grain."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    away = np.hypot(rows - HEIGHT / 2 + 6, columns - WIDTH / 2 - 10)
    tube = 1 / (1 + np.exp(np.clip((away - 560) / 7, -40, 40)))
    falloff = 1 - 0.30 * np.clip(away / 600, 0, 1) ** 4
    shade = 1 - recipe.vignette * (1 - (0.035 + 0.965 * tube) * falloff)
    light_hwc = gaussian_filter(light_hwc * shade[..., None], (0.8, 0.8, 0))
    grain = gaussian_filter(random.standard_normal(light_hwc.shape), (0.6, 0.6, 0))
    return np.clip(light_hwc + 0.010 * grain, 0, 1)


if __name__ == "__main__":
    for made in write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent):
        print(f"{made} ({made.stat().st_size // 1000} kB)")
