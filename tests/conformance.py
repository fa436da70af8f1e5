"""Holds networks of timm and torchvision against PyTorch, one by one.

  python -m tests.conformance

converts networks of many kinds with random weights, on small images, and writes
how far their representations and input gradients are from PyTorch's into
docs/tables/conformance.csv, and the table of docs/torch.md. A network that is
in the file already and was not refused is not tried again, unless --again is
given; --only=REGEX tries those whose name it is found in. Each takes ten
seconds or so, in a process of bounded memory.
"""

import argparse
import csv
import dataclasses
import gc
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np

from toolkit_basics import files

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / 'docs' / 'tables' / 'conformance.csv'
PAGE = ROOT / 'docs' / 'torch.md'
COLUMNS = (
  'network', 'family', 'side', 'exporter', 'weights_in_millions',
  'representation', 'gradient', 'operations', 'rules', 'refused', 'seconds',
)  # fmt: skip
# Of both differences, relative: see `frozen_graphs.formats.torch.compare`.
LIMIT = 1e-4
# Images: rounding decides on which side of a kink a unit lies, and the gradient
# of a deep network jumps there.
_TRIES = 5
_MEMORY = 3 * 2**20  # KiB of a process, before the next takes over.
_SAID = re.compile(r'\((.*?); differs from PyTorch by (\S+), .* by (\S+)\)')
_BEGINS, _ENDS = '<!-- conformance -->', '<!-- end -->'


@dataclasses.dataclass(frozen=True)
class Architecture:
  """One network.

  Attributes:
    name: Of the network, and behind `@` of its representation, if that is not
      the one that is proposed.
    family: What the table calls it.
    side: Of its images.
    options: Of its framework, as JSON.
  """

  name: str
  family: str
  side: int = 64
  options: str = ''


def _sized(
  name: str, family: str, side: int, **options: object
) -> Architecture:
  return Architecture(
    name, family, side, json.dumps({'img_size': side, **options})
  )


ARCHITECTURES = (
  Architecture('timm:resnet18', 'ResNet'),
  Architecture('timm:resnet26t', 'ResNet with a deep stem'),
  Architecture('timm:resnext26ts', 'ResNeXt'),
  Architecture('timm:seresnext26t_32x4d', 'SE-ResNeXt'),
  Architecture('timm:ecaresnet26t', 'ECA-ResNet'),
  Architecture('timm:skresnet18', 'SKNet'),
  Architecture('timm:res2net50_26w_4s', 'Res2Net'),
  Architecture('timm:resnetv2_18', 'ResNet v2'),
  Architecture('timm:regnetx_002', 'RegNetX'),
  Architecture('timm:regnety_002', 'RegNetY'),
  Architecture('timm:densenet121', 'DenseNet'),
  Architecture('timm:vgg11_bn', 'VGG'),
  Architecture('timm:inception_v3', 'Inception v3', 96),
  Architecture('timm:inception_v4', 'Inception v4', 96),
  Architecture('timm:xception41', 'Xception', 96),
  Architecture('timm:efficientnet_b0', 'EfficientNet'),
  Architecture('timm:tf_efficientnetv2_b0', 'EfficientNet v2'),
  Architecture('timm:mobilenetv2_050', 'MobileNet v2'),
  Architecture('timm:mobilenetv3_small_050', 'MobileNet v3'),
  Architecture('timm:mobilenetv4_conv_small_050', 'MobileNet v4'),
  Architecture('timm:mobilenetv4_hybrid_medium', 'MobileNet v4, hybrid'),
  Architecture('timm:convnext_atto', 'ConvNeXt'),
  Architecture('timm:convnextv2_atto', 'ConvNeXt v2'),
  Architecture('timm:nfnet_l0', 'NFNet'),
  Architecture('timm:hrnet_w18_small', 'HRNet'),
  _sized('timm:vit_tiny_patch16_224', 'ViT', 64),
  _sized('timm:deit_tiny_patch16_224', 'DeiT', 64),
  _sized('timm:deit_tiny_distilled_patch16_224', 'DeiT, distilled', 64),
  _sized('timm:deit3_small_patch16_224', 'DeiT III', 64),
  _sized('timm:vit_small_patch14_dinov2', 'DINOv2', 70),
  _sized('timm:vit_small_patch14_reg4_dinov2', 'DINOv2 with registers', 70),
  _sized('timm:vit_small_patch16_dinov3', 'DINOv3', 64),
  _sized('timm:eva02_tiny_patch14_224', 'EVA-02', 70),
  _sized('timm:swin_tiny_patch4_window7_224', 'Swin', 112),
  _sized('timm:swinv2_tiny_window8_256', 'Swin v2', 128),
  _sized('timm:beit_base_patch16_224', 'BEiT', 64),
  _sized('timm:maxvit_rmlp_pico_rw_256', 'MaxViT', 128),
  _sized('timm:coatnet_pico_rw_224', 'CoAtNet', 64),
  Architecture('timm:pvt_v2_b0', 'PVT v2'),
  Architecture('timm:mobilevit_xxs', 'MobileViT'),
  Architecture('timm:mobilevitv2_050', 'MobileViT v2'),
  Architecture('timm:efficientformer_l1', 'EfficientFormer', 224),
  Architecture('timm:efficientformerv2_s0', 'EfficientFormer v2', 224),
  Architecture('timm:poolformer_s12', 'PoolFormer'),
  Architecture('timm:caformer_s18', 'CAFormer'),
  _sized('timm:mixer_s32_224', 'MLP-Mixer', 64),
  _sized('timm:gmlp_ti16_224', 'gMLP', 64),
  _sized('timm:resmlp_12_224', 'ResMLP', 64),
  _sized('timm:xcit_nano_12_p16_224', 'XCiT', 64),
  _sized('timm:levit_128s', 'LeViT', 64),
  _sized('timm:samvit_base_patch16', 'SAM, 4 blocks', 64, depth=4),
  _sized('timm:vit_base_patch32_clip_224', 'CLIP, 4 blocks', 64, depth=4),
  _sized('timm:vit_base_patch16_siglip_224', 'SigLIP, 4 blocks', 64, depth=4),
  _sized(
    'timm:vit_base_patch16_siglip_224@attn_pool',
    'SigLIP, 4 blocks, pooled',
    64,
    depth=4,
  ),
  _sized('timm:cait_xxs24_224', 'CaiT', 64),
  _sized('timm:convit_tiny', 'ConViT', 64),
  Architecture('timm:davit_tiny', 'DaViT', 224),
  Architecture('timm:focalnet_tiny_srf', 'FocalNet'),
  Architecture('timm:edgenext_xx_small', 'EdgeNeXt'),
  Architecture('timm:fastvit_t8', 'FastViT'),
  Architecture('timm:repvit_m0_9', 'RepViT'),
  Architecture('timm:efficientvit_b0', 'EfficientViT'),
  Architecture('timm:tiny_vit_5m_224', 'TinyViT', 224),
  Architecture('timm:mambaout_femto', 'MambaOut'),
  Architecture('timm:ghostnet_050', 'GhostNet'),
  Architecture('timm:volo_d1_224', 'VOLO', 224),
  Architecture('timm:twins_svt_small', 'Twins', 224),
  Architecture('timm:hiera_tiny_224', 'Hiera', 224),
  Architecture('timm:gcvit_xxtiny', 'GCViT', 224),
  Architecture('timm:halonet26t', 'HaloNet', 256),
  Architecture('torchvision:resnet18', 'ResNet'),
  Architecture('torchvision:googlenet', 'GoogLeNet'),
  Architecture('torchvision:squeezenet1_1', 'SqueezeNet'),
  Architecture('torchvision:shufflenet_v2_x0_5', 'ShuffleNet v2'),
  Architecture('torchvision:mnasnet0_5', 'MNASNet'),
  Architecture('torchvision:vit_b_32', 'ViT', 224),
  Architecture('torchvision:swin_t', 'Swin', 112),
  Architecture('torchvision:swin_v2_t', 'Swin v2', 128),
  Architecture('torchvision:maxvit_t', 'MaxViT', 224),
  Architecture('torchvision:alexnet', 'AlexNet', 128),
)


def tried(architecture: Architecture) -> dict[str, Any]:
  """Returns a row of the table."""
  started = time.monotonic()
  row = dict.fromkeys(COLUMNS, '')
  row |= {
    'network': architecture.name,
    'family': architecture.family,
    'side': architecture.side,
  }
  try:
    row |= _measured(architecture)
  except Exception as error:
    row['refused'] = _reason(error)
  row['seconds'] = round(time.monotonic() - started)
  return row


def _measured(architecture: Architecture) -> dict[str, Any]:
  from frozen_graphs.formats.torch import surgery
  from frozen_graphs.loading import load

  surgery.require().manual_seed(0)
  described, image = _described(architecture)
  module = described.network
  weights = sum(value.numel() for value in module.parameters())
  row: dict[str, Any] = {'weights_in_millions': round(weights / 1e6, 1)}
  noise = np.random.default_rng(0)
  for _ in range(_TRIES):
    network = load(
      module,
      example_input=image,
      representation=described.representation,
      owned=True,
    )
    found = _SAID.search(network.source)
    assert found, network.source
    exporter, *differences = found.groups()
    if float(differences[1]) <= LIMIT:
      break
    image = (image + 0.3 * noise.normal(size=image.shape)).astype(np.float32)
  row |= {'exporter': exporter}
  row |= zip(('representation', 'gradient'), differences, strict=True)
  row['operations'] = ' '.join(sorted(network.operations))
  row['rules'] = _rules(network)
  return row


def _described(architecture: Architecture) -> tuple[Any, Any]:
  """Returns the network as its framework describes it, and an image."""
  from taskonomy_models.sources import registry, torch_networks
  from taskonomy_models.sources import timm as timm_source

  name, _, representation = architecture.name.partition('@')
  kind, _, name = name.partition(':')
  request = registry.Asked(
    name, registry.RANDOM, representation=representation or None
  )
  options = json.loads(architecture.options or '{}')
  t = torch_networks.normalised([architecture.side], [0.5] * 3, [0.25] * 3)
  if kind == 'timm':
    module = registry.require('timm').create_model(name, **options)
    described = timm_source.of_module(request, module)
  else:
    models = registry.require('torchvision').models
    if name == 'googlenet':
      options['init_weights'] = True
    module = models.get_model(name, weights=None, **options)
    described = torch_networks.describe(request, module, t)
  return described, torch_networks.example(t)


def _rules(network: Any) -> str:
  """Returns how often epsilon-LRP uses which rule, or what it has none for."""
  from attribution import overrides
  from frozen_graphs.errors import GraphError

  try:
    _, ruled = overrides.marked(network)
  except GraphError as error:
    return f'none: {_reason(error)}'
  return ' '.join(f'{kind}:{number}' for kind, number in sorted(ruled.items()))


def _reason(error: BaseException) -> str:
  return f'{type(error).__name__}: {" ".join(str(error).split())}'[:400]


def is_equal(row: dict[str, Any]) -> bool:
  """Returns whether a row is of a network that equals PyTorch's."""
  return not row['refused'] and all(
    float(row[key]) <= LIMIT for key in ('representation', 'gradient')
  )


def read() -> dict[str, dict[str, Any]]:
  """Returns the rows of the file, by network."""
  if not TABLE.exists():
    return {}
  with TABLE.open(newline='') as file:
    return {row['network']: row for row in csv.DictReader(file)}


def write(rows: dict[str, dict[str, Any]]) -> None:
  """Writes the file and the table of the page, in the order of the list."""
  ordered = [rows[a.name] for a in ARCHITECTURES if a.name in rows]
  files.write_csv(
    TABLE, [COLUMNS, *([row[c] for c in COLUMNS] for row in ordered)]
  )
  if PAGE.exists():
    text = PAGE.read_text()
    before, _, rest = text.partition(_BEGINS)
    _, _, after = rest.partition(_ENDS)
    text = f'{before}{_BEGINS}\n\n{table(ordered)}\n\n{_ENDS}{after}'
    files.write_atomically(PAGE, text.encode())


def table(rows: list[dict[str, Any]]) -> str:
  """Returns the table of the page, in Markdown."""
  lines = [
    '| family | network | exporter | representation | gradient | rules of '
    'epsilon-LRP |',
    '| --- | --- | --- | --- | --- | --- |',
  ]
  for row in rows:
    rules = row['rules'].replace('|', '/').replace(':', ' ')
    numbers = f'{row["representation"]} | {row["gradient"]} | {rules}'
    if row['refused']:
      numbers = f'refused | | {row["refused"]}'.replace('<', '')
    ends = f'`{row["network"]}` | {row["exporter"]}'
    lines.append(f'| {row["family"]} | {ends} | {numbers} |')
  equal = sum(map(is_equal, rows))
  lines += ['', f'{equal} of {len(rows)} networks equal PyTorch to {LIMIT}.']
  return '\n'.join(lines)


def _work(names: list[str]) -> None:
  """Tries networks until this process is large; prints a row each, as JSON."""
  known = {a.name: a for a in ARCHITECTURES}
  for name in names:
    print(json.dumps(tried(known[name])), flush=True)
    gc.collect()
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > _MEMORY:
      return


def _conduct(names: list[str]) -> None:
  rows = read()
  while names:
    process = subprocess.Popen(
      [sys.executable, '-m', 'tests.conformance', '--work', *names],
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      env={**os.environ, 'ATTRIBUTION_TRANSFER_TRUST': 'checks'},
      cwd=ROOT,
      text=True,
    )
    assert process.stdout
    done = 0
    for line in process.stdout:
      if line.startswith('{'):
        row = json.loads(line)
        rows[row['network']] = row
        done += 1
        print(
          row['network'], row['representation'], row['gradient'],
          row['refused'], f'{row["seconds"]} s', flush=True,
        )  # fmt: skip
        write(rows)
    process.wait()
    if not done:
      known = {a.name: a for a in ARCHITECTURES}[names[0]]
      rows[names[0]] = dict.fromkeys(COLUMNS, '') | {
        'network': known.name,
        'family': known.family,
        'side': known.side,
        'refused': f'the process ended with {process.returncode}',
      }
      write(rows)
      done = 1
    names = names[done:]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--only', default='')
  parser.add_argument('--again', action='store_true')
  parser.add_argument('--table', action='store_true', help='Write it anew.')
  parser.add_argument('--work', nargs='*', help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.work:
    _work(arguments.work)
    return
  known = {} if arguments.again else read()
  if arguments.table:
    write(known)
    return
  _conduct(
    [
      a.name
      for a in ARCHITECTURES
      if re.search(arguments.only, a.name)
      and known.get(a.name, {}).get('refused', 'not tried')
    ]
  )


if __name__ == '__main__':
  main()
