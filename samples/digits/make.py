#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes this sample: draws digits, trains a small network on them, writes model, labels, pictures and
test data beside this file. Needs python3 and numpy; takes about a minute."""
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import onnx_writer as onnx  # noqa: E402

SIZE = 28
N_TRAIN, N_HELD_OUT, EPOCHS, BATCH = 9000, 2000, 4, 50

# --- Drawing -----------------------------------------------------------------------------------
# Strokes of each digit on a field of width 1 and height 1.6, y down. An arc is
# (centre x, centre y, radius x, radius y, from, to) in degrees; a line is a list of points.


def arc(cx, cy, rx, ry, begin, end, n=14):
    t = np.radians(np.linspace(begin, end, n))
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], 1)


def line(*points):
    return np.array(points, float)


GLYPHS = [
    [[arc(.5, .8, .42, .78, 0, 360, 24)]],
    [[line((.3, .3), (.58, 0), (.58, 1.6))],
     [line((.55, 0), (.5, 1.6))]],
    [[np.concatenate([arc(.48, .42, .42, .42, 190, 390, 14), line((.06, 1.58), (.96, 1.58))])]],
    [[np.concatenate([arc(.42, .4, .42, .4, 200, 440), arc(.42, 1.18, .46, .42, -80, 160)])]],
    [[line((.62, 0), (.04, 1.08), (.98, 1.08)), line((.72, .55), (.72, 1.6))],
     [line((.12, 0), (.06, .9), (.94, .9)), line((.8, 0), (.74, 1.6))]],
    [[np.concatenate([line((.9, 0), (.2, 0), (.12, .7)), arc(.42, 1.1, .46, .5, -110, 150)])]],
    [[np.concatenate([line((.78, 0), (.3, .55)), arc(.48, 1.14, .42, .45, 190, 550, 22)])]],
    [[line((.04, 0), (.94, 0), (.36, 1.6))],
     [line((.04, 0), (.94, 0), (.36, 1.6)), line((.3, .82), (.86, .82))]],
    [[arc(.5, .4, .36, .4, 90, 450, 20), arc(.5, 1.2, .42, .4, -90, 270, 20)]],
    [[arc(.48, .42, .4, .42, 0, 360, 20), line((.88, .42), (.84, .9), (.66, 1.6))]],
]


def distance_to_stroke(points, grid):
    """Distance of each grid point (P, 2) to the polyline."""
    a, b = points[:-1], points[1:]
    step = b - a
    along = ((grid[:, None] - a) * step).sum(2) / np.maximum((step * step).sum(1), 1e-9)
    nearest = a + np.clip(along, 0, 1)[:, :, None] * step
    return np.sqrt(((grid[:, None] - nearest)**2).sum(2)).min(1)


def draw(digit, rng):
    """A picture, 0 paper to 255 ink: random slant, size, place, wobble, pen and noise."""
    glyph = GLYPHS[digit][rng.integers(len(GLYPHS[digit]))]
    turn, shear = rng.normal(0, .13), rng.normal(0, .15)
    width, height = rng.uniform(8, 13.5), rng.uniform(9.5, 12.5)
    rotate = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shape = rotate @ np.array([[width, shear * height], [0, height]])
    shift = SIZE / 2 + rng.normal(0, 1.0, 2)
    grid = np.stack(np.meshgrid(np.arange(SIZE) + .5, np.arange(SIZE) + .5), 2).reshape(-1, 2)
    bend, phase = rng.normal(0, .035, (2, 2)), rng.uniform(0, 6.3, 2)
    distance = np.full(SIZE * SIZE, 1e9)
    for stroke in glyph:
        centred = stroke - (.5, .8)
        centred = centred + np.sin(centred[:, ::-1] * 3 + phase) @ bend
        distance = np.minimum(distance, distance_to_stroke(centred @ shape.T + shift, grid))
    ink = np.clip(rng.uniform(.8, 1.9) - distance + .5, 0, 1) * rng.uniform(170, 255)
    ink = ink + rng.normal(0, rng.uniform(0, 14), SIZE * SIZE)
    return np.clip(ink, 0, 255).astype(np.uint8).reshape(SIZE, SIZE)


def draw_set(n, rng):
    digits = np.arange(n) % 10
    return np.stack([draw(d, rng) for d in digits]), digits


# --- The network -------------------------------------------------------------------------------
# Conv 8 3x3, Relu, MaxPool 2, Conv 16 3x3, Relu, MaxPool 2, Flatten, Gemm, Softmax


def init(rng):
    def he(*shape):
        return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)

    return dict(w1=he(8, 1, 3, 3), b1=np.zeros(8, np.float32), w2=he(16, 8, 3, 3),
                b2=np.zeros(16, np.float32), w3=he(10, 16 * 7 * 7), b3=np.zeros(10, np.float32))


def patches(x):
    """(N, C, H, W) -> (N, H * W, C * 9) with a border of zeros."""
    n, c, h, w = x.shape
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    view = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(n, h * w, c * 9)


def unpatches(g, c, h, w):
    """The transpose of patches()."""
    n = len(g)
    g = g.reshape(n, h, w, c, 3, 3)
    out = np.zeros((n, c, h + 2, w + 2), g.dtype)
    for i in range(3):
        for j in range(3):
            out[:, :, i:i + h, j:j + w] += g[:, :, :, :, i, j].transpose(0, 3, 1, 2)
    return out[:, :, 1:-1, 1:-1]


def conv(x, w, b):
    n, _, h, wd = x.shape
    cols = patches(x)
    y = cols @ w.reshape(len(w), -1).T + b
    return y.transpose(0, 2, 1).reshape(n, len(w), h, wd), cols


def pool(x):
    n, c, h, w = x.shape
    y = x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))
    return y, x == y.repeat(2, 2).repeat(2, 3)


def forward(p, x):
    y1, c1 = conv(x, p["w1"], p["b1"])
    y1, m1 = pool(np.maximum(y1, 0))
    y2, c2 = conv(y1, p["w2"], p["b2"])
    y2, m2 = pool(np.maximum(y2, 0))
    flat = y2.reshape(len(x), -1)
    z = flat @ p["w3"].T + p["b3"]
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True), (c1, y1, m1, c2, y2, m2, flat)


def spread(g, mask, y):
    """Back through MaxPool and Relu: the gradient goes to the largest where it is above 0."""
    g = g * (y > 0)
    return g.repeat(2, 2).repeat(2, 3) * mask


def conv_gradients(g, cols, w):
    n, o, h, wd = g.shape
    g = g.reshape(n, o, h * wd)
    gw = np.tensordot(g, cols, ((0, 2), (0, 1))).reshape(w.shape)
    return gw, g.sum((0, 2)), g.transpose(0, 2, 1) @ w.reshape(o, -1)


def gradients(p, x, digits):
    prob, (c1, y1, m1, c2, y2, m2, flat) = forward(p, x)
    dz = prob.copy()
    dz[np.arange(len(x)), digits] -= 1
    dz /= len(x)
    d = dict(w3=dz.T @ flat, b3=dz.sum(0))
    g = spread((dz @ p["w3"]).reshape(y2.shape), m2, y2)
    d["w2"], d["b2"], g = conv_gradients(g, c2, p["w2"])
    g = spread(unpatches(g, 8, 14, 14), m1, y1)
    d["w1"], d["b1"], _ = conv_gradients(g, c1, p["w1"])
    return d


def as_input(pictures):
    return pictures[:, None].astype(np.float32) / np.float32(255)


def accuracy(p, pictures, digits):
    hits = [forward(p, as_input(pictures[k:k + 200]))[0].argmax(1) == digits[k:k + 200]
            for k in range(0, len(pictures), 200)]
    return np.concatenate(hits).mean()


def train(p, pictures, digits, held_out, rng):
    speed = {k: np.zeros_like(v) for k, v in p.items()}
    for epoch in range(EPOCHS):
        order = rng.permutation(len(pictures))
        rate = np.float32(.04 * .6**epoch)
        for k in range(0, len(order), BATCH):
            pick = order[k:k + BATCH]
            d = gradients(p, as_input(pictures[pick]), digits[pick])
            for name, value in p.items():
                speed[name] = np.float32(.9) * speed[name] - rate * d[name]
                value += speed[name].astype(np.float32)
        print(f"epoch {epoch + 1}: {accuracy(p, *held_out):.2%} of held-out pictures right")


# --- Files -------------------------------------------------------------------------------------
def save_model(p, path):
    g = onnx.Graph("digits")
    x = g.input("picture", onnx.FLOAT, [1, 1, SIZE, SIZE])
    for k in ("1", "2"):
        weights = [g.constant(n + k, p[n + k]) for n in "wb"]
        x = g.node("Conv", [x] + weights, "conv" + k, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        x = g.node("Relu", [x], "relu" + k)
        x = g.node("MaxPool", [x], "pool" + k, kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Flatten", [x], "flatten", axis=1)
    x = g.node("Gemm", [x, g.constant("w3", p["w3"]), g.constant("b3", p["b3"])], "dense", transB=1)
    g.node("Softmax", [x], "softmax", output="probability", axis=-1)
    g.output("probability", onnx.FLOAT, [1, 10])
    g.save(path)


def save_pgm(picture, path):
    with open(path, "wb") as file:
        file.write(b"P5\n%d %d\n255\n" % picture.shape[::-1] + picture.tobytes())


def main():
    rng = np.random.default_rng(28)
    pictures, digits = draw_set(N_TRAIN, rng)
    held_out = draw_set(N_HELD_OUT, rng)
    p = init(rng)
    train(p, pictures, digits, held_out, rng)
    save_model(p, f"{HERE}/model.onnx")
    names = "zero one two three four five six seven eight nine".split()
    with open(f"{HERE}/labels.txt", "w") as file:
        file.writelines(name + "\n" for name in names)
    os.makedirs(f"{HERE}/pictures", exist_ok=True)
    new, _ = draw_set(10, rng)  # never seen in training
    for digit, picture in enumerate(new):
        save_pgm(picture, f"{HERE}/pictures/{names[digit]}.pgm")
    # The test takes a picture that the network finds hard: figures that are not just 0 and 1.
    hard = np.abs(np.concatenate([forward(p, as_input(part))[0].max(1)
                                  for part in np.split(held_out[0], 10)]) - .6).argmin()
    x = as_input(held_out[0][hard:hard + 1])
    onnx.save_test_data(f"{HERE}/test_data_set_0", [("picture", x)],
                        [("probability", forward(p, x)[0].astype(np.float32))])
    print("pictures:", forward(p, as_input(new))[0].argmax(1), forward(p, as_input(new))[0].max(1))


if __name__ == "__main__":
    main()
