"""A real Chromium for tests of pages."""

from collections.abc import Iterator
import contextlib
import pathlib
import shutil

_ARGUMENTS = (
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--force-color-profile=srgb',
)


def missing() -> str:
  """Returns what keeps pages from being opened, or '' if nothing does."""
  try:
    import selenium  # noqa: F401 - only whether it is there.
  except ImportError:
    return 'the package selenium is not installed'
  for program in ('chromium', 'chromedriver'):
    if shutil.which(program) is None:
      return f'there is no {program}'
  return ''


@contextlib.contextmanager
def browser(width: int = 1200, height: int = 900) -> Iterator:
  """Yields a Selenium driver of a headless Chromium with a log of errors."""
  from selenium import webdriver
  from selenium.webdriver.chrome.options import Options
  from selenium.webdriver.chrome.service import Service

  options = Options()
  options.binary_location = shutil.which('chromium')
  for argument in (*_ARGUMENTS, f'--window-size={width},{height}'):
    options.add_argument(argument)
  options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
  driver = webdriver.Chrome(
    options=options, service=Service(shutil.which('chromedriver'))
  )
  try:
    yield driver
  finally:
    driver.quit()


def open_page(driver, path: pathlib.Path) -> None:
  driver.get(path.resolve().as_uri())


def show_as(driver, width: int, scheme: str) -> None:
  """Shows pages as a screen of a width in pixels, `light` or `dark`, does."""
  driver.execute_cdp_cmd(
    'Emulation.setDeviceMetricsOverride',
    {
      'width': width,
      'height': 844,
      'deviceScaleFactor': 1,
      'mobile': width < 600,
    },
  )
  driver.execute_cdp_cmd(
    'Emulation.setEmulatedMedia',
    {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]},
  )


def console_errors(driver) -> list[str]:
  """Returns what the page complained of since the last call."""
  return [
    entry['message']
    for entry in driver.get_log('browser')
    if entry['level'] in ('SEVERE', 'WARNING')
  ]
