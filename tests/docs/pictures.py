"""Takes the pictures in docs/images of the main job, or of the zoo.

  python -m experiments.run_taskonomy
  python -m tests.docs.pictures results/taskonomy-scenes
  python -m experiments.run_zoo --bank=FOLDER --probe=photos --num_images=4 \
    --methods=elrp --map_transform=absolute+pooled --similarities= \
    --on_bad_map=drop_image --output=results/zoo-photos
  python -m tests.docs.pictures results/zoo-photos zoo

For whoever changes the page of a run or its figures; needs Chromium.
"""

import base64
import pathlib
import sys
import time

import cv2
import numpy as np

from tests import browser_testing, module_graph

IMAGES = module_graph.ROOT / 'docs' / 'images'
_METHOD = 'elrp'  # Of the figures of one method.
_WIDTH = 1400  # Of maps, in pixels.
_ZOO_WIDTH = 1000
_PNG, _JPEG = [cv2.IMWRITE_PNG_COMPRESSION, 9], [cv2.IMWRITE_JPEG_QUALITY, 85]
_OPEN_A_MAP = """
document.querySelectorAll('#maps .panel')[3].click();
document.querySelector('[name=view][value=overlay]').click();
document.activeElement.blur();
"""


def _screen(driver) -> np.ndarray:
  """Returns what is on the screen, once it has come to rest."""
  time.sleep(0.8)
  found = driver.execute_cdp_cmd('Page.captureScreenshot', {'format': 'png'})
  return cv2.imdecode(
    np.frombuffer(base64.b64decode(found['data']), np.uint8), cv2.IMREAD_COLOR
  )


def take_page(path: pathlib.Path, images: pathlib.Path) -> None:
  """Takes the pictures of a page: its top, an open map, and on a phone."""
  with browser_testing.browser() as driver:
    browser_testing.show_as(driver, 1100, 'light')
    browser_testing.open_page(driver, path)
    cv2.imwrite(str(images / 'report.png'), _screen(driver), _PNG)
    driver.execute_script(_OPEN_A_MAP)
    cv2.imwrite(str(images / 'report_map.jpg'), _screen(driver), _JPEG)
    browser_testing.show_as(driver, 390, 'dark')
    browser_testing.open_page(driver, path)
    script = "document.documentElement.style.scrollBehavior = 'auto'"
    driver.execute_script(script)
    parts = []
    for place in ('h1', '#h-curves', '#h-tree'):
      script = 'document.querySelector(arguments[0]).scrollIntoView()'
      driver.execute_script(script, place)
      parts.append(_screen(driver))
    whole = np.concatenate(parts, axis=1)
    cv2.imwrite(str(images / 'report_phone.png'), whole, _PNG)


def copy_figures(figures: pathlib.Path, images: pathlib.Path) -> None:
  """Copies the figures that pages show, maps in a smaller size."""
  for name, figure in (
    ('precision', 'precision'),
    ('affinity', f'affinity_{_METHOD}'),
    ('tree', f'tree_{_METHOD}'),
  ):
    picture = cv2.imread(str(figures / f'{figure}.png'))
    cv2.imwrite(str(images / f'{name}.png'), picture, _PNG)
  for suffix in ('', '_overlay'):
    picture = cv2.imread(str(figures / f'maps_{_METHOD}{suffix}.png'))
    size = _WIDTH, round(_WIDTH * picture.shape[0] / picture.shape[1])
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(images / f'maps{suffix}.jpg'), picture, _JPEG)


def copy_zoo(figures: pathlib.Path, images: pathlib.Path) -> None:
  """Copies the maps and the tree of the zoo, in a smaller size."""
  for name, suffix, options in (('maps', 'jpg', _JPEG), ('tree', 'png', _PNG)):
    (path,) = figures.glob(f'{name}_{_METHOD}@*pooled.png')
    picture = cv2.imread(str(path))
    size = _ZOO_WIDTH, round(_ZOO_WIDTH * picture.shape[0] / picture.shape[1])
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(images / f'zoo_{name}.{suffix}'), picture, options)


if __name__ == '__main__':
  if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ['zoo']):
    sys.exit(__doc__)
  run = pathlib.Path(sys.argv[1])
  if sys.argv[2:]:
    copy_zoo(run / 'figures', IMAGES)
  else:
    take_page(run / 'report.html', IMAGES)
    copy_figures(run / 'figures', IMAGES)
