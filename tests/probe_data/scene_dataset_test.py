"""Tests of the data sets of labelled scenes."""

import concurrent.futures
import contextlib
import os
import tempfile
import threading
import time
from unittest import mock

from absl.testing import absltest
import numpy as np

from probe_data import scene_dataset, scene_labels, scenes


@contextlib.contextmanager
def _in_order(function, arguments, workers):
  """Makes calls one after the other, in this process."""
  del workers
  yield (function(*each) for each in arguments)


class _StoppedAt:
  """Renders until it comes to a scene, and notes what it was asked for."""

  def __init__(self, render, stop):
    self._render, self._stop, self.asked = render, stop, []

  def __call__(self, folder, seeds, size, first):
    if first == self._stop:
      raise KeyboardInterrupt
    self.asked.append(first)
    return self._render(folder, seeds, size, first)


class SceneDatasetTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    folder = tempfile.TemporaryDirectory()
    cls.addClassCleanup(folder.cleanup)
    cls.folder = folder.name
    # More than one chunk, by two processes.
    cls.data = scene_dataset.build(cls.folder, 'transfer', 103, 16, workers=2)

  def test_every_scene_stands_in_its_row(self):
    for index in (0, 99, 100, 102):
      seed = scenes.scene_seed('transfer', index)
      images, labels = scene_labels.labelled_images([seed], 16)
      np.testing.assert_array_equal(self.data['image'][index], images[0])
      for task, values in labels.items():
        np.testing.assert_array_equal(self.data[task][index], values[0], task)

  def test_a_data_set_that_is_there_is_not_rendered_again(self):
    path = os.path.join(
      self.folder,
      scene_dataset.folder_name('transfer', 103, 16),
      'image.npy',
    )
    before = os.stat(path).st_mtime_ns
    again = scene_dataset.build(self.folder, 'transfer', 103, 16)
    self.assertEqual(os.stat(path).st_mtime_ns, before)
    np.testing.assert_array_equal(again['image'], self.data['image'])

  def test_one_that_was_cut_off_is_rendered_anew(self):
    name = scene_dataset.folder_name('test', 2, 16)
    os.makedirs(os.path.join(self.folder, f'.{name}.partial'))
    data = scene_dataset.build(self.folder, 'test', 2, 16)
    self.assertEqual(data['image'].shape, (2, 16, 16, 3))
    self.assertNotIn(f'.{name}.partial', os.listdir(self.folder))

  def test_one_that_was_stopped_is_gone_on_with(self):
    folder = self.create_tempdir().full_path
    render = scene_dataset._render_chunk
    with mock.patch.object(scene_dataset.spawning, 'calls', _in_order):
      with mock.patch.object(
        scene_dataset, '_render_chunk', _StoppedAt(render, 100)
      ):
        with self.assertRaises(KeyboardInterrupt):
          scene_dataset.build(folder, 'transfer', 103, 16)
      rest = _StoppedAt(render, None)
      with mock.patch.object(scene_dataset, '_render_chunk', rest):
        data = scene_dataset.build(folder, 'transfer', 103, 16)
    self.assertEqual(rest.asked, [100])
    self.assertSetEqual(set(data), set(self.data))
    for name, values in data.items():
      np.testing.assert_array_equal(values, self.data[name], name)
    self.assertLen(os.listdir(folder), 1)
    self.assertEmpty([n for n in os.listdir(folder) if n.startswith('.')])

  def test_a_second_run_waits_for_the_first(self):
    folder = self.create_tempdir().full_path
    started = threading.Event()
    render = scene_dataset._render_chunk

    def slow(*args):
      started.set()
      time.sleep(0.5)
      return render(*args)

    rest = _StoppedAt(slow, None)
    with (
      mock.patch.object(scene_dataset.spawning, 'calls', _in_order),
      mock.patch.object(scene_dataset, '_render_chunk', rest),
      mock.patch.object(scene_dataset, '_PATIENCE', 0.05),
      concurrent.futures.ThreadPoolExecutor() as pool,
    ):
      first = pool.submit(scene_dataset.build, folder, 'test', 2, 16)
      started.wait()
      second = scene_dataset.build(folder, 'test', 2, 16)
      np.testing.assert_array_equal(second['image'], first.result()['image'])
    self.assertEqual(rest.asked, [0])

  def test_data_cannot_be_changed_by_accident(self):
    with self.assertRaises(ValueError):
      self.data['image'][0] = 0


if __name__ == '__main__':
  absltest.main()
