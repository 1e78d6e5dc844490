"""The view *Rate* in Chromium: a study from its making by the owner to its agreement, and raters with the keyboard alone. Run by script/check-page."""
import json
import shutil
import time
import unittest
import urllib.error
import urllib.request

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from page_browser import Browser, make_run, scan, serve

TOKEN = 'the-token-of-the-owner'
LONG = 'There is a small nodule in the right upper lobe, about eight millimetres, with smooth edges. The heart is of usual size. No fluid in either pleural cavity.'


def predictions(system, count):
    return ''.join(json.dumps({'id': f'c{i}', 'question': 'What is seen?', 'image': f'p{i % 3}.png', 'reference': f'Nodule {i} in the right lung, no effusion.',
                               'prediction': f'{LONG} ({system[0]}{i})'}) + '\n' for i in range(count))


class Rate(unittest.TestCase):
    build = work = shots = None # set by script/check-page

    @classmethod
    def setUpClass(cls):
        make_run(cls.build, cls.work)
        (cls.work / 'images').mkdir()
        (cls.work / 'files').mkdir()
        for i in range(2):
            shutil.copy(cls.work / f'p{i}.png', cls.work / 'images')
        for system, folder in {'zanzibar': cls.work, 'quixotic': cls.work / 'files'}.items():
            (folder / f'{system}.jsonl').write_text(predictions(system, 8))
        cls.options = ('--token', TOKEN, '--images', 'images', '--predictions', 'files', '--state', 'state.sqlite')
        cls.address, cls.process = cls.enterClassContext(serve(cls.build, cls.work, *cls.options))
        cls.browser = Browser(cls.work)
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.page = self.browser
        self.page.look()
        self.allowed = []

    def tearDown(self):
        errors = [e for e in self.page.errors() if not any(a in e for a in self.allowed)]
        self.assertEqual(errors, [], 'nothing is said to the console')

    # ---- helpers ----

    def api(self, method, path, body=None, secret=TOKEN):
        request = urllib.request.Request(self.address.rstrip('/') + path, json.dumps(body).encode() if body is not None else None, method=method,
                                         headers={'Authorization': f'Bearer {secret}'})
        with urllib.request.urlopen(request) as reply:
            return json.loads(reply.read())

    def make(self, **more):
        """(the study's path, the secrets of its raters)"""
        made = self.api('POST', '/api/studies', {'name': 'A study', 'raters': 2, 'duplicates': 0, 'systems': [{'name': s, 'predictions': predictions(s, 8)} for s in ('zanzibar', 'quixotic')],
                                                 **more})
        return f'/api/studies/{made["id"]}', [link['link'].split('/')[-1] for link in made['links']]

    def rate(self, secret):
        self.page.get(f'{self.address}#rate/{secret}')
        self.page.wait(lambda: self.page.all('#rate-parts p'), 'an item is shown')

    def owner(self):
        self.page.get(f'{self.address}#rate')
        self.page.wait(lambda: self.page.all('#study-make') or self.page.find('#token-dialog').get_property('open'), 'the view is shown')
        if self.page.find('#token-dialog').get_property('open'):
            self.allowed.append('the server responded with a status of 401')
            self.page.find('#token').send_keys(TOKEN + Keys.ENTER)
        self.page.wait(lambda: self.page.all('#study-make'), 'the view is shown')

    def press(self, *keys):
        ActionChains(self.page.driver).send_keys(*keys).perform()

    def title(self):
        return self.page.find('#rate-title').text

    def at(self, n):
        self.page.wait(lambda: self.title().startswith(f'Item {n} '), f'item {n} is shown, not {self.title()}')

    def chosen(self):
        return [b.get_attribute('data-score') for b in self.page.all('button.level[aria-pressed=true]')]

    def sheet(self, path, rater):
        with urllib.request.urlopen(urllib.request.Request(f'{self.address.rstrip("/")}{path}/ratings?form=sheets', headers={'Authorization': f'Bearer {TOKEN}'})) as reply:
            rows = [json.loads(line) for line in reply.read().decode().splitlines()]
        return {int(row['item'].split('-')[1]): (row['score'], row['comment']) for row in rows if row['item'].startswith(f'r{rater}-')}

    # ---- raters ----

    def test_keyboard_alone(self):
        path, secrets = self.make()
        self.rate(secrets[0])
        self.assertEqual(self.title(), 'Item 1 of 16')
        self.assertEqual([h.text for h in self.page.all('#rate-parts h2')], ['Question', 'Report of the expert', 'Report of the program'])
        self.assertEqual(len(self.page.all('button.level')), 6)
        self.assertFalse(self.page.find('#views').is_displayed(), 'there is nothing but the sheet')
        self.press('3')
        self.at(2)
        self.press('0')
        self.at(3)
        self.press('c')
        self.press('unsure ? 4 u', Keys.ESCAPE)
        self.page.wait(lambda: self.sheet(path, 1)[3] == (None, 'unsure ? 4 u'), 'the comment is kept')
        self.at(3)
        self.press('x')
        self.at(4)
        self.assertEqual(self.page.find('#rate-done').text, '3 of 16 done')
        self.press(Keys.ARROW_LEFT)
        self.at(3)
        self.assertEqual((self.chosen(), self.page.find('#rate-comment').get_property('value')), (['none'], 'unsure ? 4 u'))
        self.press(Keys.ARROW_LEFT)
        self.at(2)
        self.assertEqual(self.chosen(), ['0'])
        self.press('4')
        self.at(4)
        self.assertEqual(self.sheet(path, 1)[2], (4, ''))
        self.press('u')
        self.at(2)
        self.page.wait(lambda: self.chosen() == ['0'], 'what was there before')
        self.assertEqual(self.sheet(path, 1)[2], (0, ''))
        self.press('n')
        self.at(4)
        self.press('7')
        self.page.wait(lambda: self.page.find('#status').text == 'Scores go from 0 to 4.', 'no such score')
        self.press('u')
        self.at(3)
        self.page.wait(lambda: self.page.find('#rate-done').text == '2 of 16 done', 'it is taken back')
        self.press('?')
        self.assertIn('undo the last change', self.page.find('#keys').text)
        self.press(Keys.ESCAPE)
        ActionChains(self.page.driver).key_down(Keys.ALT).send_keys('1').key_up(Keys.ALT).perform()
        self.at(3)
        for n in range(3, 17):
            self.at(n)
            self.press('2')
            self.page.wait(lambda: self.page.find('#rate-done').text == f'{n} of 16 done', f'{n} are done')
        self.page.wait(lambda: 'All is done' in self.page.find('#rate-note').text, 'that is all')
        self.assertEqual([s for s, _ in self.sheet(path, 1).values()], [3, 0] + [2] * 14)
        self.assertEqual(self.page.find('#rate-progress').get_property('value'), 16)

    def test_letter_keys_off(self):
        path, secrets = self.make()
        self.addCleanup(lambda: self.page.run('localStorage.clear()'))
        self.rate(secrets[0])
        self.page.find('#show-keys').click()
        self.page.find('#letter-keys').click()
        self.press(Keys.ESCAPE)
        self.press('3', 'x', 'u', 'n', 'c')
        time.sleep(0.5)
        self.assertEqual((self.title(), self.page.find('#rate-done').text), ('Item 1 of 16', '0 of 16 done'))
        self.press(Keys.ARROW_RIGHT)
        self.at(2)
        level = self.page.find('button.level[data-score="3"]')
        self.page.run('arguments[0].focus()', level)
        self.press(Keys.SPACE)
        self.page.wait(lambda: self.sheet(path, 1)[2] == (3, ''), 'buttons take the keyboard as ever')

    def test_resume(self):
        path, secrets = self.make()
        self.rate(secrets[1])
        self.press('1')
        self.at(2)
        self.press('2')
        self.at(3)
        self.rate(secrets[1])
        self.at(3)
        self.assertEqual(self.page.find('#rate-done').text, '2 of 16 done')
        self.rate(secrets[0])
        self.at(1)

    def test_comment_and_score_by_pointer(self):
        path, secrets = self.make()
        self.rate(secrets[0])
        self.page.find('#rate-comment').send_keys('by hand')
        self.page.find('button.level[data-score="1"]').click()
        self.at(2)
        self.assertEqual(self.sheet(path, 1)[1], (1, 'by hand'))
        self.page.find('#rate-before').click()
        self.at(1)
        self.page.find('#rate-undo').click()
        self.at(1)

    def test_images(self):
        path, secrets = self.make()
        self.rate(secrets[0])
        shown = set()
        for n in range(1, 17):
            self.at(n)
            self.page.wait(lambda: self.page.all('#rate-images img, #rate-images .bad'), 'an image, or why there is none')
            if image := self.page.all('#rate-images img'):
                self.page.wait(lambda: image[0].get_property('naturalWidth') > 0, 'it is drawn')
                self.assertTrue(image[0].get_attribute('src').startswith('blob:'))
            else:
                self.assertEqual(self.page.find('#rate-images .bad').text, "Image 1 of 1 is not here; tell the study's owner.")
            shown.add(bool(image))
            self.press(Keys.ARROW_RIGHT)
        self.assertEqual(shown, {True, False})

    def series(self):
        """A folder with the slices of a series, beside the images."""
        folder = self.work / 'images/ct'
        if not folder.exists():
            folder.mkdir()
            for i in range(5):
                scan(folder / f'{9 - i}.dcm', position=10.0 * i, number=i + 1, series='1.2.826.0.1.3680043.8.498.8')
        return 'ct'

    def seen(self, k=0):
        """The pixels of image k, once it is drawn, as a text."""
        image = self.page.all('#rate-images img')[k]
        self.page.wait(lambda: image.get_property('naturalWidth') > 0 and image.get_property('complete'), 'it is drawn')
        time.sleep(0.3)
        return self.page.run("""const i = arguments[0], c = new OffscreenCanvas(i.naturalWidth, i.naturalHeight).getContext('2d'); c.drawImage(i, 0, 0);
            return String(c.getImageData(0, 0, i.naturalWidth, i.naturalHeight).data.reduce((h, v) => (h * 31 + v) % 4294967291, 7));""", image)

    def lines(self):
        return [e.text for e in self.page.all('#rate-images figcaption')]

    def test_series(self):
        """An item with a series, of which two slices were asked about, and a picture: each is an image, and all slices are seen."""
        row = {'id': 'a', 'images': [self.series()] * 2 + ['p0.png'], 'slices': [2, 4, 0], 'reference': 'R', 'prediction': 'P'}
        _, secrets = self.make(raters=1, systems=[{'name': 'x', 'predictions': json.dumps(row) + '\n' + json.dumps({**row, 'id': 'b'}) + '\n'}])
        self.rate(secrets[0])
        self.page.wait(lambda: len(self.page.all('#rate-images img')) == 2, 'both images')
        self.assertEqual(self.lines()[0], 'slice 3 of 5')
        middle = self.seen()
        self.press(Keys.ARROW_DOWN)
        self.page.wait(lambda: self.lines()[0] == 'slice 4 of 5', 'the next slice')
        fourth = self.seen()
        self.press(Keys.HOME)
        self.page.wait(lambda: self.lines()[0] == 'slice 1 of 5', 'the first one')
        first = self.seen()
        self.assertEqual(len({first, middle, fourth}), 3)
        ActionChains(self.page.driver).scroll_from_origin(ScrollOrigin.from_element(self.page.all('#rate-images img')[0]), 0, 100).perform()
        self.page.wait(lambda: self.lines()[0] == 'slice 2 of 5', 'by the wheel')
        slider = self.page.find('#rate-images input[type=range]')
        self.assertGreaterEqual(slider.size['height'], 44)
        slider.send_keys(Keys.ARROW_RIGHT + Keys.ARROW_RIGHT)
        self.page.wait(lambda: self.lines()[0] == 'slice 4 of 5', 'by the slider')
        self.assertEqual(self.seen(), fourth)
        self.assertTrue(self.title().startswith('Item 1 '), 'which moves no item')
        self.page.find('#rate-title').click()
        self.page.run("document.activeElement.blur()")
        self.press(Keys.ARROW_RIGHT)
        self.at(2)
        self.press('3')
        self.page.wait(lambda: self.page.find('#rate-done').text == '1 of 2 done', 'scores are given as ever')
        self.look_at('rate-series')

    def test_right_or_wrong_and_other_scales(self):
        path, secrets = self.make(rubric='correct')
        self.rate(secrets[0])
        self.assertEqual([b.get_attribute('data-score') for b in self.page.all('button.level')], ['0', '1', 'none'])
        self.press('1')
        self.at(2)
        path, secrets = self.make(rubric='mine', rubric_text='instruction: Is it good?\nscale: [-20, 20]\nshows: [{title: Answer, columns: [prediction]}]\n')
        self.rate(secrets[0])
        self.press('-15', Keys.ENTER)
        self.at(2)
        self.press('7', Keys.ENTER)
        self.at(3)
        self.press('99', Keys.ENTER)
        self.page.wait(lambda: 'from -20 to 20' in self.page.find('#status').text, 'no such score')
        self.at(3)
        self.assertEqual([s for s, _ in list(self.sheet(path, 1).values())[:3]], [-15, 7, None])

    def test_wrong_link_and_closed(self):
        path, secrets = self.make()
        self.allowed = ['the server responded with a status of 401']
        self.page.get(f'{self.address}#rate/{"0" * 48}')
        self.page.wait(lambda: self.page.all('#rate-refused'), 'it is said')
        self.assertIn('this link opens nothing', self.page.find('#rate-refused').text)
        self.assertFalse(self.page.find('#token-dialog').get_property('open'), 'nobody is asked for the token')
        self.rate(secrets[0])
        self.press('1')
        self.at(2)
        self.api('POST', f'{path}/close')
        self.allowed.append('the server responded with a status of 409')
        self.press('2')
        self.page.wait(lambda: 'closed' in self.page.find('#status').text, 'it is said')
        self.assertEqual(self.sheet(path, 1)[2], (None, ''))
        self.rate(secrets[0])
        self.assertIn('The study is closed', self.page.find('#rate-note').text)
        self.assertFalse(any(b.is_enabled() for b in self.page.all('button.level')))

    def test_killed_while_one_rates(self):
        """The server is killed and comes back at the same address; the page goes on by itself, and nothing is lost."""
        work = self.work.parent / 'rate-kill'
        make_run(self.build, work)
        kept = self.address
        try:
            with serve(self.build, work, '--token', TOKEN) as (address, process):
                type(self).address = address
                path, secrets = self.make()
                self.rate(secrets[0])
                self.press('1')
                self.at(2)
                process.kill()
                process.wait()
                self.press('3')
                self.page.wait(lambda: 'Not kept yet' in self.page.find('#status').text, 'it is said')
                self.at(2)
            with serve(self.build, work, '--token', TOKEN, '--port', address.rstrip('/').split(':')[-1]) as (again, _):
                self.assertEqual(again, address)
                self.at(3)
                self.assertEqual(self.page.find('#status').text, '')
                self.assertEqual([s for s, _ in list(self.sheet(path, 1).values())[:3]], [1, 3, None])
        finally:
            type(self).address = kept
        self.allowed = ['net::ERR_CONNECTION_REFUSED', 'net::ERR_EMPTY_RESPONSE', 'net::ERR_CONNECTION_RESET']

    # ---- the owner ----

    def test_owner(self):
        self.owner()
        self.assertEqual(self.page.driver.title, 'Rate – pefomed')
        self.page.find('#study-name').send_keys('First reading')
        self.page.find('#study-files').send_keys(str(self.work / 'zanzibar.jsonl'))
        self.page.find('#study-known input[value="quixotic.jsonl"]').click()
        self.page.find('#study-raters').clear()
        self.page.find('#study-raters').send_keys('2')
        self.page.find('#study-make').click()
        self.page.wait(lambda: len(self.page.all('#links .link')) == 2, 'there are links')
        links = [f.get_property('value') for f in self.page.all('#links .link')]
        self.assertTrue(all(link.startswith(f'{self.address}#rate/') for link in links), links)
        self.assertIn('images are not in the server', self.page.find('#links').text)
        self.page.all('#links button')[0].click()
        self.page.wait(lambda: self.page.all('#links button')[0].text == 'Copied', 'copied')
        study = self.page.all('section.study')[0]
        self.assertIn('First reading', study.text)
        self.assertIn('16 texts of zanzibar, quixotic; likert-report, 0 to 4; 2 for each text', study.text)
        path = f'/api/studies/{study.get_attribute("data-study")}'
        for k, link in enumerate(links):
            secret = link.split('/')[-1]
            count = self.api('GET', '/api/rate', secret=secret)['count']
            for n in range(1, count + 1):
                text = self.api('GET', f'/api/rate/items/{n}', secret=secret)['parts'][-1]['text']
                self.api('PUT', f'/api/rate/items/{n}', {'score': (len(text) + hash(text[-3:-1]) + k * (n % 3 == 0)) % 5}, secret=secret)
        self.page.wait(lambda: all(f'{count} of {count}' in row.text for row in study.find_elements(By.CSS_SELECTOR, 'tbody tr')), 'progress comes by itself')
        study.find_element(By.CSS_SELECTOR, 'button.agree').click()
        self.page.wait(lambda: "Krippendorff's alpha, ordinal" in study.text, 'agreement')
        agreement = self.api('GET', f'{path}/agreement')
        value, (low, high) = agreement['krippendorff']['ordinal'], agreement['ci95']['krippendorff']['ordinal']
        self.assertIn(f'{value:.2f} ({low:.2f} to {high:.2f})', study.text)
        self.assertIn('rater-1 and rater-2', study.text)
        for button, name, mark in (('Ratings (CSV)', 'ratings.csv', 'item,rater,score'), ('Ratings (JSON lines)', 'ratings.jsonl', '"rater"'), ('Sheets', 'sheets.csv', 'item,image'),
                                   ('Key', 'sheets.key.json', 'pefomed-sheets-key-1')):
            study.find_element(By.XPATH, f'.//button[text()="{button}"]').click()
            self.assertIn(mark, self.page.downloaded(name).decode('utf-8-sig'))
        self.look_at('rate-owner')
        # a new link, closed, removed
        new = study.find_elements(By.XPATH, './/button[text()="New link"]')[0]
        new.click()
        self.page.run('arguments[0].click()', new)
        self.page.wait(lambda: len(self.page.all('#links .link')) == 1, 'one new link')
        with self.assertRaises(urllib.error.HTTPError):
            self.api('GET', '/api/rate', secret=links[0].split('/')[-1])
        self.page.find('section.study button.close').click()
        self.page.wait(lambda: '; closed ' in self.page.run("return document.querySelector('section.study')?.textContent ?? ''"), 'it is closed')
        self.assertIsNotNone(self.api('GET', path)['closed'])
        count = len(self.page.all('section.study'))
        remove = self.page.find('section.study button.remove')
        remove.click()
        self.assertEqual(remove.text, 'Remove all ratings?')
        remove.click()
        self.page.wait(lambda: len(self.page.all('section.study')) == count - 1, 'it is gone')

    def test_owner_is_told_what_is_wrong(self):
        self.owner()
        self.page.find('#study-name').send_keys('x')
        self.page.find('#study-make').click()
        self.page.wait(lambda: 'Choose at least one file' in self.page.find('#status').text, 'it is said')
        bad = self.work / 'bad.jsonl'
        bad.write_text('{"id": 1}\n')
        self.page.find('#study-files').send_keys(str(bad))
        self.allowed.append('the server responded with a status of 400')
        self.page.find('#study-make').click()
        self.page.wait(lambda: self.page.find('#status').text.startswith('bad line 1: '), 'it is said')
        self.assertTrue(self.page.find('#study-make').is_enabled())

    # ---- what it looks like ----

    def look_at(self, name):
        for size, dark in (('desktop', False), ('desktop', True), ('tablet', False)):
            self.page.look(size, dark)
            time.sleep(0.3)
            self.page.picture(self.shots / f'{name}-{size}{"-dark" if dark else ""}.png')
            self.assertEqual(self.page.violations(), [], f'{name} {size} {dark}')
            wide = self.page.run('return document.documentElement.scrollWidth - document.documentElement.clientWidth')
            self.assertLessEqual(wide, 0, f'{name} {size}: nothing is cut off')
        self.page.look()

    def test_looks(self):
        path, secrets = self.make()
        self.rate(secrets[0])
        while not self.page.all('#rate-images img'):
            self.press(Keys.ARROW_RIGHT)
            self.page.wait(lambda: self.page.all('#rate-images img, #rate-images .bad'), 'an image, or why there is none')
        n = int(self.title().split()[1])
        self.press('3')
        self.at(n + 1)
        self.press(Keys.ARROW_LEFT)
        self.at(n)
        self.page.wait(lambda: self.page.all('#rate-images img'), 'its image')
        self.look_at('rate')

    def test_touch(self):
        """A rater's sheet and the owner's view on a tablet: everything is large enough to be tapped, and scores are given by taps."""
        self.page.touch_device()
        self.addCleanup(self.page.touch_device, False)
        row = {'id': 'a', 'images': [self.series(), 'p0.png'], 'reference': 'R', 'prediction': 'P'}
        path, secrets = self.make(raters=1, systems=[{'name': 'x', 'predictions': json.dumps(row) + '\n' + json.dumps({**row, 'id': 'b'}) + '\n'}])
        self.rate(secrets[0])
        self.page.wait(lambda: len(self.page.all('#rate-images img')) == 2 and self.lines()[0] == 'slice 3 of 5', 'both images')
        self.seen()
        self.assertEqual(self.page.small_targets(), [])
        slider = self.page.find('#rate-images input[type=range]')
        self.page.run("arguments[0].scrollIntoView({block: 'center'})", slider)
        x, y, width = self.page.run('const r = arguments[0].getBoundingClientRect(); return [r.x, r.y + r.height / 2, r.width]', slider)
        self.page.touch([(x + width / 2, y)], [(x + 0.7 * width, y)], [(x + width - 4, y)])
        self.page.wait(lambda: self.lines()[0] == 'slice 5 of 5', 'the slider is dragged')
        self.page.tap(self.page.find('button.level[data-score="2"]'))
        self.at(2)
        self.assertEqual(self.sheet(path, 1)[1], (2, ''))
        self.owner()
        self.page.wait(lambda: self.page.all('section.study'), 'studies are listed')
        self.page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        self.assertEqual(self.page.small_targets(), [])
