"""Installs the toolkit; what each dependency is for is said in the README."""

import setuptools

_PHOTOS = ['scikit-image>=0.22', 'scikit-learn>=1.3']
_MEASURES = ['scikit-learn>=1.3']
_ONNX = ['onnx>=1.16']
_TFLITE = ['tflite>=2.10']
_TORCH = ['onnxscript>=0.5', 'safetensors>=0.4', 'torch>=2.6', *_ONNX]

setuptools.setup(
  name='attribution-transfer',
  version='0.1.0',
  description=(
    'Transferability of deep networks from their attribution maps: affinity, '
    'rankings and task similarity trees of frozen TensorFlow graphs.'
  ),
  long_description=(
    'Projects frozen TensorFlow encoders over probe images into a space of '
    'attribution maps, and reads off it which network to transfer from '
    '("Deep Model Transferability from Attribution Maps", NeurIPS 2019).'
  ),
  license='Apache-2.0',
  license_files=['LICENSE'],
  packages=setuptools.find_packages(
    include=[
      pattern
      for package in (
        'attribution',
        'attribution_preservation',
        'attribution_transfer',
        'frozen_graphs',
        'experiments',
        'probe_data',
        'taskonomy_models',
        'toolkit_basics',
        'transferability',
      )
      for pattern in (package, f'{package}.*')
    ]
  ),
  package_data={
    'attribution_transfer': ['py.typed'],
    'experiments': ['report_page/*'],
    'taskonomy_models': [
      'task_bank/*.csv',
      'zoo/*.json',
      'mini/*.json',
      'mini/*.pb',
      'mini/*.csv',
      'mini_held_out/*/*.json',
      'mini_held_out/*/*.pb',
      'mini_held_out/*/*.csv',
    ],
    'transferability': ['data/*'],
  },
  entry_points={
    'console_scripts': [
      'attribution-transfer = attribution_transfer.command_line:main'
    ]
  },
  python_requires='>=3.10',
  install_requires=[
    'absl-py>=2.0',
    'h5py>=3.8',
    'keras>=3.11.3',
    'matplotlib>=3.7',
    'numpy>=1.26',
    'opencv-python>=4.12',
    'pooch>=1.7',
    'protobuf>=4.25',
    'scipy>=1.11',
    'setuptools<81',
    'tensorboard>=2.18',
    'tensorflow>=2.18,<2.22',
    'tensorflow-hub>=0.16',
    'tf-keras>=2.18,<2.22',
    'threadpoolctl>=3.2',
    'tqdm>=4.65',
  ],
  extras_require={
    'photos': _PHOTOS,
    'measures': _MEASURES,
    'onnx': _ONNX,
    'tflite': _TFLITE,
    'torch': _TORCH,
    'gpu': ['tensorflow[and-cuda]>=2.18,<2.22'],
    'ray': ['ray>=2.40'],
    'peers': ['captum>=0.8', 'torch>=2.4', 'zennit>=0.5.1'],
    'test': [
      'hypothesis>=6',
      'ipykernel>=6',
      'nbclient>=0.10',
      'nbformat>=5.7',
      'onnxruntime>=1.18',
      'pillow>=10',
      'pytest>=8',
      'pytest-xdist>=3',
      'selenium>=4.15',
      'setuptools>=77,<81',
      *_PHOTOS,
      *_MEASURES,
      *_ONNX,
      *_TFLITE,
    ],
    'docs': [
      'latex2mathml>=3.77',
      'mkdocs-material>=9.5',
      'mkdocstrings[python]>=0.27',
    ],
    'dev': ['coverage==7.17.*', 'mypy==2.4.*', 'pre-commit>=4', 'ruff==0.17.*'],
  },
)
