"""Tests that drawing shows how far it is."""

import pathlib
from unittest import mock

from absl.testing import absltest

from experiments import evaluation, visuals
from tests import study_testing


class VisualsTest(absltest.TestCase):
  def test_progress_ends_when_the_last_figure_is_drawn(self):
    folder = pathlib.Path(self.create_tempdir().full_path)
    study = study_testing.make(folder, methods=('saliency', 'elrp'))
    run = study.run()
    found = evaluation.evaluate(study.bank, run.spaces, 'paper', {})
    with (
      mock.patch.object(visuals.progress, 'Bar') as bar,
      mock.patch.object(visuals.figures, 'map_grid') as grid,
      mock.patch.object(visuals.figures, 'affinity_heat_map') as heat_map,
      mock.patch.object(visuals.figures, 'task_tree'),
      mock.patch.object(visuals.figures, 'precision_recall_curves') as curves,
      mock.patch.object(visuals.summaries, 'write'),
    ):
      visuals.draw(study.bank, run.probe, run.spaces, found, folder, {})
    self.assertEqual(heat_map.call_count, 2)
    self.assertEqual(curves.call_count, 2)
    self.assertEqual(grid.call_count, 4)
    overlays = [call.args[5] for call in grid.call_args_list]
    self.assertEqual(overlays, [False, True] * 2)
    _, _, kind, bands = curves.call_args.args
    self.assertEqual((kind, set(bands)), ('recall', {'saliency', 'elrp'}))
    ((total, _), _) = bar.call_args
    self.assertEqual(total, 12)
    advance = bar.return_value.__enter__.return_value.advance
    self.assertEqual(advance.call_count, total)
    self.assertTrue((folder / 'report.html').exists())


if __name__ == '__main__':
  absltest.main()
