"""Tests of downloads from a server that does what servers do at worst."""

import hashlib
import http.server
import os
import pathlib
import threading
from unittest import mock

from absl.testing import absltest, parameterized

from taskonomy_models.task_bank import download
from taskonomy_models.task_bank.release import File

_CONTENT = os.urandom(100_000)
_DIGEST = hashlib.sha256(_CONTENT).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
  """Answers as the name of the file says."""

  def log_message(self, *_):
    pass

  def do_GET(self):
    getattr(self, f'_{self.path.strip("/")}')()

  def _answer(self, content, length=None):
    self.send_response(200)
    self.send_header('Content-Length', str(length or len(content)))
    self.end_headers()
    self.wfile.write(content)

  def _good(self):
    self._answer(_CONTENT)

  def _cut(self):
    self._answer(_CONTENT[:60_000], len(_CONTENT))
    self.close_connection = True

  def _too_short(self):
    self._answer(_CONTENT, len(_CONTENT) // 2)

  def _wrong(self):
    self._answer(_CONTENT[::-1])

  def _page(self):
    self._answer(b'<html>Please log in.</html>')

  def _stalls(self):
    self.send_response(200)
    self.send_header('Content-Length', str(len(_CONTENT)))
    self.end_headers()
    self.wfile.write(_CONTENT[:1000])
    self.wfile.flush()
    self.server.over.wait(30)

  def _missing(self):
    self.send_error(404)

  def _broken(self):
    self.send_error(500)

  def _moved(self):
    self.send_response(302)
    self.send_header('Location', '/good')
    self.end_headers()

  def _circle(self):
    self.send_response(302)
    self.send_header('Location', '/circle')
    self.end_headers()


_BAD = (
  'cut', 'too_short', 'wrong', 'page', 'stalls', 'missing', 'broken', 'circle',
)  # fmt: skip


class DownloadTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
    server.daemon_threads = True
    server.over = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    self.addCleanup(server.server_close)
    self.addCleanup(server.shutdown)
    self.addCleanup(server.over.set)
    self.server = f'http://127.0.0.1:{server.server_port}'
    self.folder = pathlib.Path(self.create_tempdir().full_path)
    self.enter_context(mock.patch.object(download, '_SECONDS', 0.5))
    self.enter_context(mock.patch.dict(os.environ, {'NO_PROXY': '127.0.0.1'}))

  def fetch(self, *answers, digest=_DIGEST):
    urls = tuple(f'{self.server}/{answer}' for answer in answers)
    wanted = File('curvature/weights.pth', urls, digest)
    download.fetch([wanted], self.folder)
    return self.folder / 'curvature' / 'weights.pth'

  def files(self):
    return [p for p in self.folder.rglob('*') if p.is_file()]

  @parameterized.parameters('good', 'moved')
  def test_what_comes_whole_is_there(self, answer):
    self.assertEqual(self.fetch(answer).read_bytes(), _CONTENT)
    self.assertLen(self.files(), 1)

  @parameterized.parameters(*_BAD)
  def test_what_does_not_leaves_nothing_and_is_said(self, answer):
    with self.assertRaisesRegex(
      ConnectionError, f'{self.server}/{answer}: .*by hand.*`source='
    ):
      self.fetch(answer)
    self.assertEmpty(self.files())

  def test_the_next_address_is_tried(self):
    self.assertEqual(self.fetch(*_BAD, 'good').read_bytes(), _CONTENT)

  @parameterized.parameters('cut', 'stalls', 'missing')
  def test_what_is_known_to_be_incomplete_needs_no_digest(self, answer):
    with self.assertRaises(ConnectionError):
      self.fetch(answer, digest=None)
    self.assertEmpty(self.files())

  def test_a_damaged_file_is_fetched_again_and_a_good_one_is_not(self):
    path = self.fetch('good')
    self.fetch('broken')
    path.write_bytes(_CONTENT[:-1])
    with self.assertRaises(ConnectionError):
      self.fetch('wrong')
    self.assertEqual(self.fetch('good').read_bytes(), _CONTENT)


if __name__ == '__main__':
  absltest.main()
