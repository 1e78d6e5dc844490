"""A server on a tiny run, and a browser that looks at it: what the checks of the page share."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import time

import axe_selenium_python
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SIZES = {'desktop': (1280, 900), 'tablet': (820, 1180)}


def make_run(build, work, **settings):
    """The folder of a run that was trained for a second, whose eval section says what `settings` say."""
    program = build / 'pefomed'
    env = {**os.environ, 'PFM_SCRATCH': str(work), 'PEFOMED_HOME': str(work / 'home')}
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    subprocess.run([build / 'tests/cli/make_tiny_training'], env=env, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([program, 'train', 'tiny.yaml', '--data', 'table.jsonl', '--out', 'run', '--quiet'], cwd=work, env=env, check=True, stdout=subprocess.DEVNULL)
    recipe = work / 'run/recipe.yaml'
    lines, section = [], ''
    for line in recipe.read_text().splitlines():
        section = line if line[:1].isalpha() else section
        key = line.strip().split(':')[0]
        lines.append(f'  {key}: {settings[key]}' if section.startswith('eval:') and key in settings else line)
    recipe.write_text('\n'.join(lines) + '\n')
    return work / 'run'


@contextlib.contextmanager
def serve(build, work, *options):
    """The address of `pefomed serve run`; it is ended with the block, and must have said nothing."""
    with open(work / 'serve.err', 'w') as errors:
        process = subprocess.Popen([build / 'pefomed', 'serve', 'run', '--port', '0', '--quiet', *options], cwd=work, stdout=subprocess.PIPE, stderr=errors,
                                   text=True, env={**os.environ, 'PEFOMED_HOME': str(work / 'home')})
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    said = (work / 'serve.err').read_text()
    assert said == '', said


class Browser:
    """Chromium with what a check asks of it."""

    def __init__(self, work):
        self.downloads = work / 'downloads'
        self.downloads.mkdir(exist_ok=True)
        options = webdriver.ChromeOptions()
        for argument in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--lang=en'):
            options.add_argument(argument)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        options.add_experimental_option('prefs', {'download.default_directory': str(self.downloads), 'download.prompt_for_download': False})
        self.driver = webdriver.Chrome(service=webdriver.ChromeService(shutil.which('chromedriver')), options=options)

    def close(self):
        self.driver.quit()

    def look(self, size='desktop', dark=False):
        """The window's size, and what the system likes: light or dark."""
        width, height = SIZES[size]
        self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': False})
        self.driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}]})

    def touch_device(self, on=True):
        """A tablet that is touched, as CSS and scripts are told of one."""
        width, height = SIZES['tablet' if on else 'desktop']
        self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {'width': width, 'height': height, 'deviceScaleFactor': 2 if on else 1, 'mobile': on})
        self.driver.execute_cdp_cmd('Emulation.setTouchEmulationEnabled', {'enabled': on, 'maxTouchPoints': 5})

    def touch(self, *moments):
        """Fingers on the glass: each moment is where they are, [(x, y), ...]; one that is missing was lifted. All are lifted at the end."""
        before = 0
        for fingers in [*moments, []]:
            kind = 'touchEnd' if not fingers else 'touchStart' if len(fingers) > before else 'touchMove'
            self.driver.execute_cdp_cmd('Input.dispatchTouchEvent', {'type': kind, 'touchPoints': [{'x': x, 'y': y, 'id': i} for i, (x, y) in enumerate(fingers)]})
            before = len(fingers)
            time.sleep(0.03) # a finger is no machine: gestures are told by their times too

    def tap(self, element):
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        x, y = self.run('const r = arguments[0].getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]', element)
        self.touch([(x, y)])

    def small_targets(self):
        """What is tapped, and smaller than 44 pixels on a side; a label counts for its field, and a link in a sentence may be small."""
        return self.run('''return [...document.querySelectorAll('a[href], button, input, select, textarea, summary')].filter((e) => {
                if (!e.checkVisibility({visibilityProperty: true}) || e.closest('.unseen, .skip')) return false;
                const {width, height} = (e.matches('[type=checkbox], [type=radio]') ? e.closest('label') ?? e : e).getBoundingClientRect();
                return width < 43.9 || height < 43.9;
            }).map((e) => e.outerHTML.slice(0, 90));''')

    def get(self, address):
        self.driver.get('about:blank') # a hash alone loads nothing anew
        self.driver.get(address)

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def wait(self, what, message, seconds=30):
        return WebDriverWait(self.driver, seconds, 0.05, (NoSuchElementException, StaleElementReferenceException)).until(lambda _: what(), message)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def run_async(self, script, *arguments):
        """What an async function's body returns."""
        result = self.driver.execute_async_script(
            'const done = arguments[arguments.length - 1], given = [...arguments].slice(0, -1);'
            f'(async (...given) => {{ {script} }})(...given).then((value) => done({{value}}), (fault) => done({{fault: String(fault)}}));', *arguments)
        assert 'fault' not in result, result['fault']
        return result['value']

    def errors(self):
        """What the console was told of since it was last asked."""
        return [entry['message'] for entry in self.driver.get_log('browser') if entry['level'] in ('SEVERE', 'WARNING')]

    def violations(self):
        """What axe finds that is serious or critical."""
        axe = axe_selenium_python.Axe(self.driver)
        axe.inject()
        found = axe.run()['violations']
        return [f'{v["impact"]} {v["id"]}: {v["help"]}: {[n["target"] for n in v["nodes"]]}' for v in found if v['impact'] in ('serious', 'critical')]

    def picture(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))

    def downloaded(self, name, seconds=20):
        """The bytes of a file that was saved, which is removed."""
        path, end = self.downloads / name, time.time() + seconds
        while not path.exists() or list(self.downloads.glob('*.crdownload')):
            assert time.time() < end, f'{name} was not saved'
            time.sleep(0.05)
        data = path.read_bytes()
        path.unlink()
        return data


def scan(path, *, position=0.0, number=1, frames=1, series='1.2.826.0.1.3680043.8.498.2', patient='Planted^Name', burned_in=None):
    """Writes a CT slice of 64 x 48 pixels in Hounsfield units: a slope from -1000 to 1000 with a square whose grey tells the position.
    burned_in: what the file says of text in its pixels."""
    import numpy
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    values = numpy.tile(numpy.linspace(-1000, 1000, 64), (frames, 48, 1))
    for k in range(frames):
        values[k, 12:36, 20:44] = 10 * position + 40 * k
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = '1.2.840.10008.5.1.4.1.1.2' if frames == 1 else '1.2.840.10008.5.1.4.1.1.7.3'
    meta.MediaStorageSOPInstanceUID = f'{series}.{number}.{int(position * 10) + 1000}'
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b'\0' * 128)
    if burned_in is not None:
        file.BurnedInAnnotation = burned_in
    file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    file.PatientName, file.PatientID, file.StudyDate = patient, 'PLANTED-4711', '20260102'
    file.StudyInstanceUID, file.SeriesInstanceUID = '1.2.826.0.1.3680043.8.498.1', series
    file.Modality, file.InstanceNumber, file.SeriesNumber = 'CT', number, 1
    file.ImageOrientationPatient, file.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, position]
    file.Rows, file.Columns, file.SamplesPerPixel, file.PhotometricInterpretation = 48, 64, 1, 'MONOCHROME2'
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 1
    if frames > 1:
        file.NumberOfFrames = frames
    file.RescaleSlope, file.RescaleIntercept, file.RescaleType = 1, -1024, 'HU'
    file.WindowCenter, file.WindowWidth = 40, 400
    file.PixelData = (values + 1024).round().astype('<i2').tobytes()
    file.save_as(path, enforce_file_format=True)
    return pathlib.Path(path)
