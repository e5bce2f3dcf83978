#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes this sample: a transformer encoder of two layers with seeded random weights, for sequences of
any length up to 128, and its outputs at three lengths computed here. Needs python3 and numpy."""
import math
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import onnx_writer as onnx  # noqa: E402

VOCABULARY, MAX_LENGTH, WIDTH, HEADS, HIDDEN, LAYERS = 96, 128, 64, 4, 128, 2
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-5
LENGTHS = (5, 16, 77)


def make_weights(rng):
    """Scaled so that attention is neither flat nor a single spike."""
    w = {"tokens": rng.normal(0, 1, (VOCABULARY, WIDTH)),
         "positions": rng.normal(0, .5, (MAX_LENGTH, WIDTH))}
    for k in range(LAYERS):
        for name in ("q", "k", "v", "o"):
            w[f"{name}{k}"] = rng.normal(0, 1.2 / math.sqrt(WIDTH), (WIDTH, WIDTH))
            w[f"{name}{k}_bias"] = rng.normal(0, .1, WIDTH)
        w[f"up{k}"] = rng.normal(0, 1 / math.sqrt(WIDTH), (WIDTH, HIDDEN))
        w[f"up{k}_bias"] = rng.normal(0, .1, HIDDEN)
        w[f"down{k}"] = rng.normal(0, 1.4 / math.sqrt(HIDDEN), (HIDDEN, WIDTH))
        w[f"down{k}_bias"] = rng.normal(0, .1, WIDTH)
        for name in ("norm_a", "norm_b"):
            w[f"{name}{k}_scale"] = rng.normal(1, .1, WIDTH)
            w[f"{name}{k}_bias"] = rng.normal(0, .1, WIDTH)
    return {name: value.astype(np.float32) for name, value in w.items()}


# --- The same computation in numpy (f64, so that its own error does not count) -------------------
def layer_norm(x, scale, bias):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * scale + bias


def attention(w, k, x):
    def heads(name):
        y = x @ w[f"{name}{k}"] + w[f"{name}{k}_bias"]
        return y.reshape(len(x), HEADS, HEAD_WIDTH).transpose(1, 0, 2)

    scores = heads("q") @ heads("k").transpose(0, 2, 1) / math.sqrt(HEAD_WIDTH)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = e / e.sum(-1, keepdims=True) @ heads("v")
    return mixed.transpose(1, 0, 2).reshape(len(x), WIDTH) @ w[f"o{k}"] + w[f"o{k}_bias"]


def reference(weights, ids):
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x = w["tokens"][ids] + w["positions"][:len(ids)]
    erf = np.vectorize(math.erf)
    for k in range(LAYERS):
        x = layer_norm(x + attention(w, k, x), w[f"norm_a{k}_scale"], w[f"norm_a{k}_bias"])
        y = x @ w[f"up{k}"] + w[f"up{k}_bias"]
        y = y * .5 * (1 + erf(y / math.sqrt(2)))
        y = y @ w[f"down{k}"] + w[f"down{k}_bias"]
        x = layer_norm(x + y, w[f"norm_b{k}_scale"], w[f"norm_b{k}_bias"])
    return x


# --- The model ---------------------------------------------------------------------------------
class Encoder(onnx.Graph):
    def __init__(self, weights):
        super().__init__("encoder")
        for name, value in weights.items():
            self.constant(name, value)

    def scalar(self, name, value):
        return self.constant(name, np.array(value, np.float32))

    def indices(self, name, *values):
        return self.constant(name, np.array(values, np.int64))

    def dense(self, x, name):
        x = self.node("MatMul", [x, name], name + "_matmul")
        return self.node("Add", [x, name + "_bias"], name + "_add")

    def heads(self, x, name, perm):
        x = self.node("Reshape", [self.dense(x, name), "split_heads"], name + "_split")
        return self.node("Transpose", [x], name + "_heads", perm=perm)

    def attention(self, x, k):
        q = self.heads(x, f"q{k}", [0, 2, 1, 3])
        keys = self.heads(x, f"k{k}", [0, 2, 3, 1])
        v = self.heads(x, f"v{k}", [0, 2, 1, 3])
        s = self.node("MatMul", [q, keys], f"scores{k}")
        s = self.node("Div", [s, "root_of_head_width"], f"scale{k}")
        s = self.node("Softmax", [s], f"softmax{k}", axis=-1)
        s = self.node("Transpose", [self.node("MatMul", [s, v], f"mix{k}")], f"gather{k}",
                      perm=[0, 2, 1, 3])
        return self.dense(self.node("Reshape", [s, "join_heads"], f"join{k}"), f"o{k}")

    def norm(self, x, name, output=None):
        return self.node("LayerNormalization", [x, name + "_scale", name + "_bias"], name, output,
                         axis=-1, epsilon=EPSILON)

    def gelu(self, x, k):
        y = self.node("Erf", [self.node("Div", [x, "root_of_2"], f"gelu{k}_div")], f"gelu{k}_erf")
        y = self.node("Mul", [x, self.node("Add", [y, "one"], f"gelu{k}_add")], f"gelu{k}_mul")
        return self.node("Mul", [y, "half"], f"gelu{k}_half")

    def embed(self, ids):
        length = self.node("Slice", [self.node("Shape", [ids], "shape"), "from_1", "to_2"], "length")
        places = self.node("Slice", ["positions", "from_0", length], "places")
        return self.node("Add", [self.node("Gather", ["tokens", ids], "embed"), places], "place")


def save_model(weights, path):
    g = Encoder(weights)
    ids = g.input("ids", onnx.INT64, [1, "seq"])
    for name, value in (("root_of_head_width", math.sqrt(HEAD_WIDTH)), ("root_of_2", math.sqrt(2)),
                        ("one", 1), ("half", .5)):
        g.scalar(name, value)
    g.indices("split_heads", 0, 0, HEADS, HEAD_WIDTH)
    g.indices("join_heads", 0, 0, WIDTH)
    for k in range(3):
        g.indices(f"{'to' if k == 2 else 'from'}_{k}", k)
    x = g.embed(ids)
    for k in range(LAYERS):
        x = g.norm(g.node("Add", [x, g.attention(x, k)], f"residual_a{k}"), f"norm_a{k}")
        y = g.dense(g.gelu(g.dense(x, f"up{k}"), k), f"down{k}")
        last = k == LAYERS - 1
        x = g.norm(g.node("Add", [x, y], f"residual_b{k}"), f"norm_b{k}", "hidden" if last else None)
    g.output("hidden", onnx.FLOAT, [1, "seq", WIDTH])
    g.save(path)


def main():
    rng = np.random.default_rng(64)
    weights = make_weights(rng)
    save_model(weights, f"{HERE}/model.onnx")
    for k, length in enumerate(LENGTHS):
        ids = rng.integers(0, VOCABULARY, length)
        hidden = reference(weights, ids).astype(np.float32)
        onnx.save_test_data(f"{HERE}/test_data_set_{k}", [("ids", ids[None].astype(np.int64))],
                            [("hidden", hidden[None])])
        print(f"length {length}: outputs from {hidden.min():.3f} to {hidden.max():.3f}")


if __name__ == "__main__":
    main()
