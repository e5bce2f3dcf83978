# SPDX-License-Identifier: Apache-2.0
"""Writes ONNX models and tensors: just as much protobuf as the samples need, from the field numbers
of the public ONNX specification."""
import os
import struct

import numpy as np

FLOAT, INT64 = 1, 7  # TensorProto.DataType
ATTR_FLOAT, ATTR_INT, ATTR_INTS = 1, 2, 7  # AttributeProto.AttributeType


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def fixed32(field, value):
    return varint(field << 3 | 5) + struct.pack("<f", value)


def text(field, value):
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def data_type(array):
    return {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64}[array.dtype]


def tensor(name, array):
    array = np.asarray(array)
    return (b"".join(number(1, d) for d in array.shape) + number(2, data_type(array)) +
            text(8, name) + text(9, np.ascontiguousarray(array).tobytes()))


def attribute(name, value):
    head = text(1, name)
    if isinstance(value, float):
        return head + fixed32(2, value) + number(20, ATTR_FLOAT)
    if isinstance(value, int):
        return head + number(3, value) + number(20, ATTR_INT)
    return head + b"".join(number(8, v) for v in value) + number(20, ATTR_INTS)


def value_info(name, elem_type, shape):
    """A dim is a number, or a name where it is known only at run time."""
    dims = b"".join(text(1, number(1, d) if isinstance(d, int) else text(2, d)) for d in shape)
    return text(1, name) + text(2, text(1, number(1, elem_type) + text(2, dims)))


class Graph:
    """Collects nodes in order; node() returns the name of the node's one output."""

    def __init__(self, name):
        self.name, self.nodes, self.constants, self.inputs, self.outputs = name, [], [], [], []

    def input(self, name, elem_type, shape):
        self.inputs.append(value_info(name, elem_type, shape))
        return name

    def output(self, name, elem_type, shape):
        self.outputs.append(value_info(name, elem_type, shape))

    def constant(self, name, array):
        self.constants.append(tensor(name, array))
        return name

    def node(self, op, inputs, name, output=None, **attributes):
        output = output or name + "_out"
        self.nodes.append(b"".join(text(1, i) for i in inputs) + text(2, output) + text(3, name) +
                          text(4, op) +
                          b"".join(text(5, attribute(k, v)) for k, v in attributes.items()))
        return output

    def save(self, path, opset=17):
        graph = (b"".join(text(1, n) for n in self.nodes) + text(2, self.name) +
                 b"".join(text(5, c) for c in self.constants) +
                 b"".join(text(11, i) for i in self.inputs) +
                 b"".join(text(12, o) for o in self.outputs))
        model = number(1, 8) + text(2, "accel samples") + text(7, graph) + text(8, number(2, opset))
        with open(path, "wb") as file:
            file.write(model)


def save_test_data(folder, inputs, outputs):
    """A test_data_set folder as ONNX's backend tests have it; both are lists of (name, array)."""
    os.makedirs(folder, exist_ok=True)
    for kind, tensors in (("input", inputs), ("output", outputs)):
        for k, (name, array) in enumerate(tensors):
            with open(f"{folder}/{kind}_{k}.pb", "wb") as file:
                file.write(tensor(name, array))
