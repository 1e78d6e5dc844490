"""The page's frame and its view *Read*, in Chromium. Run by script/check-page."""
import base64
import json
import time
import unittest
import urllib.request

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from page_browser import Browser, make_run, scan, serve


class Read(unittest.TestCase):
    build = work = shots = None # set by script/check-page

    @classmethod
    def setUpClass(cls):
        make_run(cls.build, cls.work, max_tokens=220, min_tokens=200)
        cls.server = serve(cls.build, cls.work)
        cls.address, cls.process = cls.enterClassContext(cls.server)
        cls.browser = Browser(cls.work)
        cls.addClassCleanup(cls.browser.close)
        cls.slices = [scan(cls.work / f'{name}.dcm', position=position, number=9 - i)
                      for i, (name, position) in enumerate({'e': 10.0, 'a': 20.0, 'd': 0.0, 'b': 30.0, 'c': 15.0}.items())]
        cls.frames = scan(cls.work / 'frames.dcm', frames=3, series='1.2.826.0.1.3680043.8.498.3')
        cls.png = cls.work / 'p1.png'

    def setUp(self):
        self.page = self.browser
        self.page.look()
        self.page.get(self.address)
        self.page.wait(lambda: self.page.all('#ask'), 'the view is shown')
        self.allowed = []

    def tearDown(self):
        errors = [e for e in self.page.errors() if not any(a in e for a in self.allowed)]
        self.assertEqual(errors, [], 'nothing is said to the console')

    # ---- helpers ----

    def open(self, *paths, stacks=None):
        before = len(self.page.all('#stacks li'))
        self.page.find('#files').send_keys('\n'.join(str(p) for p in paths))
        self.page.wait(lambda: len(self.page.all('#stacks li')) == before + (stacks or len(paths)), 'the images are open')
        self.page.wait(lambda: self.drawn() != '0', 'a picture is drawn')

    def drawn(self):
        """What is on the canvas: the same text for the same pixels, '0' for black ones."""
        return self.page.run('''const p = document.getElementById('picture'), c = new OffscreenCanvas(p.width, p.height).getContext('2d', {willReadFrequently: true});
            c.drawImage(p, 0, 0);
            const d = c.getImageData(0, 0, p.width, p.height).data;
            let h = 0; for (let i = 0; i < d.length; i += 4) h = (h * 31 + d[i] * 65536 + d[i + 1] * 256 + d[i + 2]) % 4294967291; return String(h);''')

    def settled(self):
        """What is on the canvas once it has stood still."""
        now, since = self.drawn(), time.time()
        while time.time() - since < 0.4:
            time.sleep(0.05)
            if (new := self.drawn()) != now:
                now, since = new, time.time()
        return now

    def line(self):
        return self.page.find('#picture-line').text

    def value(self, css):
        return self.page.find(css).get_property('value')

    def press(self, *keys):
        ActionChains(self.page.driver).send_keys(*keys).perform()

    def focus(self):
        self.page.run("document.getElementById('picture').focus()")

    def ask(self, text):
        self.page.find('#question').send_keys(text + Keys.ENTER)
        self.page.wait(lambda: self.page.all('.answer') and all(a.get_attribute('data-done') for a in self.page.all('.answer')), 'the answers are there')
        return self.page.all('.exchange')[0].find_elements(By.CSS_SELECTOR, '.answer')

    def api(self, method, path, body=None):
        request = urllib.request.Request(self.address.rstrip('/') + path, json.dumps(body).encode() if body is not None else None, method=method)
        with urllib.request.urlopen(request) as reply:
            return json.loads(reply.read())

    # ---- the frame ----

    def test_frame(self):
        self.assertEqual(self.page.driver.title, 'Read – pefomed')
        self.assertEqual(self.page.find('#views [aria-current]').text, 'Read')
        self.assertIn('Not for clinical use', self.page.find('header').text)
        self.press('?')
        self.assertTrue(self.page.find('#keys').get_property('open'))
        self.assertIn('what the model is shown', self.page.find('#keys').text)
        self.press(Keys.ESCAPE)
        self.assertFalse(self.page.find('#keys').get_property('open'))

    def test_light_and_dark(self):
        ground = lambda: self.page.run('return getComputedStyle(document.body).backgroundColor')
        light = ground()
        self.page.look(dark=True)
        dark = ground()
        self.assertNotEqual(light, dark)
        self.page.find('#theme').click()
        self.assertEqual(ground(), light)
        self.page.get(self.address)
        self.page.wait(lambda: self.page.all('#ask'), 'the view is shown')
        self.assertEqual(ground(), light, 'the choice is remembered')
        self.page.run("localStorage.clear()")

    def test_letter_keys_off(self):
        self.open(self.slices[0])
        self.addCleanup(lambda: self.page.run('localStorage.clear()'))
        before = self.value('#width')
        self.focus()
        self.press('?')
        box = self.page.find('#letter-keys')
        self.assertTrue(box.is_selected())
        self.assertEqual(self.page.all('#key-list .off'), [])
        box.click()
        self.assertEqual(self.page.violations(), [])
        off = [k.text for k in self.page.all('#key-list .off')]
        self.assertTrue(set(off) == {'?', 'O', 'J L', 'I K', '0 to 9', '+ −', 'F', 'M', 'Q', 'B'}, off)
        self.page.picture(self.shots / 'keys-off.png')
        self.press(Keys.ESCAPE)
        self.page.get(self.address)
        self.page.wait(lambda: self.page.all('#ask'), 'the view is shown')
        self.open(*self.slices, stacks=1)
        self.focus()
        for key in 'ikjlmbqf125+?':
            self.press(key)
        self.assertEqual((self.value('#width'), self.value('#preset')), (before, ''), 'no key sets the window')
        self.assertFalse(self.page.find('#keys').get_property('open') or self.page.find('#blank').is_selected())
        self.assertNotIn('as the model is shown it', self.line())
        self.assertEqual(self.page.run('return document.activeElement.id'), 'picture')
        self.press(Keys.ARROW_DOWN)
        self.page.wait(lambda: 'slice 4 of 5' in self.line(), 'arrows go through the slices as ever')
        self.page.find('#question').send_keys('mk 12?')
        self.assertEqual(self.value('#question'), 'mk 12?', 'fields take letters')
        ActionChains(self.page.driver).key_down(Keys.ALT).send_keys('2').key_up(Keys.ALT).perform()
        self.page.wait(lambda: self.page.driver.title.startswith('Runs'), 'Alt and a digit chooses a view')
        self.page.find('#show-keys').click()
        self.page.find('#letter-keys').click()
        self.press(Keys.ESCAPE)
        self.press('?')
        self.assertTrue(self.page.find('#keys').get_property('open'), 'they are switched on again')
        self.assertEqual(self.page.run('return localStorage.length'), 0)

    # ---- images ----

    def test_opens_several(self):
        self.open(self.png, self.slices[0], stacks=2)
        self.assertEqual([c.text.split('\n')[0] for c in self.page.all('#stacks li')], ['e.dcm', 'p1.png'])
        first = self.settled()
        self.focus()
        self.press(Keys.ARROW_RIGHT)
        self.assertNotEqual(self.settled(), first)
        self.assertIn('p1.png', self.line())
        self.assertTrue(all(not self.page.find(f).is_enabled() for f in ('#preset', '#center', '#width')), 'a finished picture has no window')
        self.page.all('#stacks [aria-label^=Close]')[1].click()
        self.page.wait(lambda: len(self.page.all('#stacks li')) == 1, 'it is closed')
        self.assertEqual(self.settled(), first)

    def test_drop(self):
        data = base64.b64encode(self.png.read_bytes()).decode()
        self.page.run('''const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0)), transfer = new DataTransfer();
            transfer.items.add(new File([bytes], 'dropped.png'));
            document.getElementById('picture').dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true}));''', data)
        self.page.wait(lambda: 'dropped.png' in self.page.find('#stacks').text, 'it is open')
        self.page.wait(lambda: self.drawn() != '0', 'it is drawn')

    def painted(self, name, text):
        """A PNG with text in its pixels."""
        data = self.page.run_async('''const canvas = new OffscreenCanvas(320, 240), context = canvas.getContext('2d');
            context.fillStyle = '#202020';
            context.fillRect(0, 0, 320, 240);
            context.fillStyle = '#f0f0f0';
            context.font = '16px "DejaVu Sans", sans-serif';
            context.fillText(given[0], 12, 30);
            const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
            return btoa(String.fromCharCode(...bytes));''', text)
        path = self.work / name
        path.write_bytes(base64.b64decode(data))
        return path

    def text_note(self):
        note = self.page.find('#burned-in')
        return note.text if note.is_displayed() else None

    def test_burned_in_text(self):
        self.open(self.slices[0])
        self.settled()
        self.assertIsNone(self.text_note(), 'nothing is said of an image without text')
        self.open(self.painted('painted.png', 'PLANTED NAME 1931-02-03'))
        self.page.wait(lambda: (self.text_note() or '').startswith('May hold burned-in text (found in the pixels).'), 'what is found in the pixels is said')
        self.assertNotEqual(self.settled(), '0', 'and the image is shown')
        self.open(scan(self.work / 'said.dcm', burned_in='YES', series='1.2.826.0.1.3680043.8.498.4'))
        self.page.wait(lambda: (self.text_note() or '').startswith('May hold burned-in text (the file says so).'), 'what the file says is said')
        self.open(scan(self.work / 'denied.dcm', burned_in='NO', series='1.2.826.0.1.3680043.8.498.5'))
        self.page.wait(lambda: self.text_note() is None, 'no text, and the file says so')
        self.assertEqual([bool(c.find_elements(By.CSS_SELECTOR, '.notice')) for c in self.page.all('#stacks li')], [False, True, True, False], 'the list marks them')
        self.focus()
        self.press(Keys.ARROW_LEFT)
        self.page.wait(lambda: self.text_note(), 'it is said again')
        for name, size, dark in (('light', 'desktop', False), ('dark', 'desktop', True), ('tablet', 'tablet', False)):
            self.page.look(size, dark)
            self.settled()
            self.page.picture(self.shots / f'read-text-{name}.png')
            self.assertEqual(self.page.violations(), [], name)

    def test_burned_in_text_of_a_series(self):
        paths = [scan(self.work / f'text{i}.dcm', position=10.0 * i, number=i + 1, burned_in='YES' if i == 2 else None, series='1.2.826.0.1.3680043.8.498.6') for i in range(3)]
        self.paint_frame(paths[0], 0)
        self.open(*paths, stacks=1)
        self.page.wait(lambda: (self.text_note() or '').startswith('Other slices may hold burned-in text; so may 2 of 3 slices.'), 'which are meant, before they are shown')
        self.focus()
        self.press(Keys.END)
        self.page.wait(lambda: (self.text_note() or '').startswith('May hold burned-in text (the file says so); so may 2 of 3 slices.'), 'this one is')

    def test_burned_in_text_of_a_frame(self):
        path = self.work / 'framed.dcm'
        self.paint_frame(scan(path, frames=3, series='1.2.826.0.1.3680043.8.498.7'), 2)
        self.open(path)
        self.settled()
        self.assertIsNone(self.text_note())
        self.focus()
        self.press(Keys.END)
        self.page.wait(lambda: (self.text_note() or '').startswith('May hold burned-in text (found in the pixels)'), 'a frame is looked at when it is shown')

    @staticmethod
    def paint_frame(path, frame):
        """Rows of small crosses and bars, as letters are, into a frame of a scan."""
        import numpy
        import pydicom
        file = pydicom.dcmread(path)
        values = file.pixel_array.copy().reshape(-1, file.Rows, file.Columns)
        values[frame] = 0
        letters = ((1, 1, 1, 1), (1, 0, 0, 0), (1, 1, 1, 0), (1, 0, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0), (1, 1, 1, 1)), ((1, 0, 0, 1), (1, 0, 0, 1), (1, 1, 1, 1), (1, 0, 0, 1), (1, 0, 0, 1), (1, 0, 0, 1), (1, 0, 0, 1))
        for row in range(2):
            for k in range(9):
                values[frame, 6 + 14 * row:13 + 14 * row, 4 + 6 * k:8 + 6 * k] = 2000 * numpy.array(letters[(k + row) % 2])
        file.PixelData = values.astype('<i2').tobytes()
        file.save_as(path)

    def test_what_is_no_image(self):
        bad = self.work / 'bad.png'
        bad.write_bytes(self.png.read_bytes()[:200])
        self.allowed = ['the server responded with a status of 400']
        self.page.find('#files').send_keys(str(bad))
        self.page.wait(lambda: self.page.find('#status').get_attribute('class') == 'error', 'it is said')
        self.assertTrue(self.page.find('#status').text.startswith('bad.png: '), self.page.find('#status').text)
        self.assertEqual(self.page.all('#stacks li'), [])

    def test_window_by_dragging(self):
        self.open(self.slices[0])
        self.assertEqual((self.value('#center'), self.value('#width')), ('40', '400'))
        before = self.settled()
        canvas = self.page.find('#picture')
        ActionChains(self.page.driver).move_to_element(canvas).click_and_hold().move_by_offset(60, 0).release().perform()
        self.assertEqual(float(self.value('#center')), 40)
        self.assertAlmostEqual(float(self.value('#width')), 400 * 2.718281828 ** 0.3, delta=30)
        wide = self.settled()
        self.assertNotEqual(wide, before)
        ActionChains(self.page.driver).move_to_element(canvas).click_and_hold().move_by_offset(0, 50).release().perform()
        self.assertLess(float(self.value('#center')), 0)
        self.assertNotEqual(self.settled(), wide)
        Select(self.page.find('#preset')).select_by_value('')
        self.assertEqual(self.settled(), before)

    def test_windows_of_the_list(self):
        self.open(self.slices[0])
        names = [o.get_attribute('value') for o in Select(self.page.find('#preset')).options]
        self.assertEqual(names, ['', 'percentile', 'full', 'lung', 'bone', 'brain', 'abdomen', 'mediastinum', 'liver', 'stroke'])
        Select(self.page.find('#preset')).select_by_value('lung')
        lung = self.settled()
        self.assertEqual((self.value('#center'), self.value('#width')), ('-600', '1500'))
        self.focus()
        self.press('5')
        self.assertEqual(self.value('#preset'), 'brain')
        self.assertNotEqual(self.settled(), lung)
        self.press('2')
        self.page.wait(lambda: self.value('#width') == '2000', 'what full means is told')
        self.press('i')
        self.assertGreater(float(self.value('#width')), 2000)
        for field, value in (('#width', '1500'), ('#center', '-600')):
            self.page.find(field).send_keys(Keys.CONTROL + 'a' + Keys.NULL + value + Keys.TAB)
        self.assertEqual((self.value('#center'), self.value('#width')), ('-600', '1500'))
        self.assertEqual(self.settled(), lung)

    def test_same_grey_as_the_model_sees(self):
        """Each pixel that the browser's window gives is the server's."""
        image = self.page.run_async('''const reply = await fetch('/api/images', {method: 'POST', body: Uint8Array.from(atob(given[0]), (c) => c.charCodeAt(0))});
            return await reply.json();''', base64.b64encode(self.slices[0].read_bytes()).decode())
        for window in ('40,400', '-600,1500', '0,1', '12.5,33.3,SIGMOID', '100,250,LINEAR_EXACT'):
            differ = self.page.run_async('''
                const {drawValues, parseWindow, readValues} = await import('/page/window.js'), address = `/api/images/${given[0]}/`;
                const values = readValues(await (await fetch(address + 'values')).arrayBuffer()), canvas = document.createElement('canvas');
                drawValues(values, parseWindow(given[1]), canvas);
                const picture = await createImageBitmap(await (await fetch(address + 'picture?window=' + given[1])).blob());
                const other = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
                other.drawImage(picture, 0, 0);
                const a = canvas.getContext('2d').getImageData(0, 0, 64, 48).data, b = other.getImageData(0, 0, 64, 48).data;
                return a.length === b.length ? a.filter((v, i) => v !== b[i]).length : -1;''', image['id'], window)
            self.assertEqual(differ, 0, window)

    def test_zoom_and_pan(self):
        self.open(self.png)
        fit = self.settled()
        self.focus()
        self.press('+')
        large = self.settled()
        self.assertNotEqual(large, fit)
        ActionChains(self.page.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
        moved = self.settled()
        self.assertNotEqual(moved, large)
        canvas = self.page.find('#picture')
        ActionChains(self.page.driver).move_to_element(canvas).click_and_hold().move_by_offset(-40, 0).release().perform()
        self.assertEqual(self.settled(), large, 'dragging moves a picture without values back')
        self.press('f')
        self.assertEqual(self.settled(), fit)
        ActionChains(self.page.driver).scroll_from_origin(self.origin(canvas), 0, -200).perform()
        self.assertNotEqual(self.settled(), fit, 'the wheel makes a single picture larger')
        self.page.find('#fit').click()
        self.assertEqual(self.settled(), fit)

    @staticmethod
    def origin(element):
        from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
        return ScrollOrigin.from_element(element)

    # ---- a tablet that is touched ----

    def tablet(self):
        self.page = Browser(self.work) # of its own: what is left of a pinch in one that is used again takes no further touches
        self.addCleanup(self.page.close)
        self.page.touch_device()
        self.page.get(self.address)
        self.page.wait(lambda: self.page.all('#ask') and self.page.run('return innerWidth === 820 && visualViewport.scale === 1'), 'it is laid out for a tablet')

    def around(self):
        """(x, y) from the middle of the image, in pixels of the window."""
        x, y = self.page.run("const c = document.getElementById('picture'); c.scrollIntoView({block: 'center'}); const r = c.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]")
        return lambda dx, dy: (x + dx, y + dy)

    def window(self):
        return float(self.value('#center')), float(self.value('#width'))

    def painted_box(self):
        """Left, top, right and bottom of what is not black on the canvas, in its pixels."""
        return self.page.run('''const p = document.getElementById('picture'), c = new OffscreenCanvas(p.width, p.height).getContext('2d');
            c.drawImage(p, 0, 0);
            const d = c.getImageData(0, 0, p.width, p.height).data, b = [p.width, p.height, 0, 0];
            for (let y = 0; y < p.height; y++) for (let x = 0; x < p.width; x++) {
              const i = 4 * (y * p.width + x);
              if (d[i] + d[i + 1] + d[i + 2] > 0) { b[0] = Math.min(b[0], x); b[1] = Math.min(b[1], y); b[2] = Math.max(b[2], x + 1); b[3] = Math.max(b[3], y + 1); }
            }
            return b;''')

    def test_pinch(self):
        self.tablet()
        self.open(self.painted('grey.png', ''))
        fit, at = self.settled(), self.around()
        for _ in range(6):
            self.page.find('[aria-label=Smaller]').click() # so that all of it stays in sight
        self.settled()
        left, top, right, bottom = self.painted_box()
        self.page.touch([at(-40, 0)], [at(-40, 0), at(40, 0)], [at(-60, 0), at(60, 0)], [at(-80, 0), at(80, 0)])
        self.settled()
        large = self.painted_box()
        self.assertAlmostEqual((large[2] - large[0]) / (right - left), 2, delta=0.1, msg='fingers twice as far apart: twice as large')
        self.assertAlmostEqual((large[0] + large[2]) / 2, (left + right) / 2, delta=4, msg='about the middle between them')
        self.page.touch([at(-80, 0)], [at(-80, 0), at(80, 0)], [at(-40, 0), at(40, 0)])
        self.settled()
        self.assertAlmostEqual(self.painted_box()[2] - self.painted_box()[0], right - left, delta=8, msg='and back')
        self.page.touch([at(-40, 0)], [at(-40, 0), at(40, 0)], [at(-40, 30), at(40, 30)])
        self.settled()
        self.assertAlmostEqual(self.painted_box()[1] - top, 30 * 2, delta=8, msg='two fingers move it')
        self.page.tap(self.page.find('#fit'))
        self.assertEqual(self.settled(), fit)

    def test_pinch_leaves_the_window(self):
        """Nothing of a pinch sets the window: neither its two fingers nor the one that is lifted last."""
        self.tablet()
        self.open(self.slices[0])
        fit, window, at = self.settled(), self.window(), self.around()
        fingers = [PointerInput('touch', f'finger{i}') for i in range(2)]
        actions = ActionBuilder(self.page.driver, mouse=fingers[0])
        actions.add_pointer_input('touch', 'unused')
        actions.devices[:] = fingers
        for finger, moves in zip(fingers, ([(-40, 0), 'down', (-60, 20), 'wait', (20, -60), (60, -90), 'up'], [(40, 0), 'down', (60, 20), 'up', 'wait', 'wait', 'wait'])):
            for move in moves:
                if move == 'wait':
                    finger.create_pause(0.05)
                elif move == 'down':
                    finger.create_pointer_down(button=0)
                elif move == 'up':
                    finger.create_pointer_up(button=0)
                else:
                    finger.create_pointer_move(duration=50, x=round(at(*move)[0]), y=round(at(*move)[1]))
        actions.perform()
        self.assertNotEqual(self.settled(), fit)
        self.assertEqual(self.window(), window)

    def test_one_finger(self):
        self.tablet()
        self.open(self.slices[0])
        fit, at = self.settled(), self.around()
        self.page.touch([at(0, 0)], [at(20, 0)], [at(40, 0)], [at(60, 0)])
        center, width = self.window()
        self.assertEqual(center, 40)
        self.assertGreater(width, 480, 'a finger to the right: wider')
        self.page.touch([at(0, 0)], [at(0, 20)], [at(0, 50)])
        self.assertLess(self.window()[0], 0, 'downwards: the center is lower')
        self.assertEqual(self.page.run('return scrollY'), self.page.run("document.getElementById('picture').scrollIntoView({block: 'center'}); return scrollY"), 'the page stays')
        pan = self.page.find('button[data-mode=pan]')
        self.page.tap(pan)
        self.page.wait(lambda: pan.get_attribute('aria-pressed') == 'true', 'it is chosen')
        at = self.around()
        window, wide = self.window(), self.settled()
        self.page.touch([at(0, 0)], [at(20, 10)], [at(40, 20)])
        self.assertNotEqual(self.settled(), wide)
        self.assertEqual(self.window(), window, 'with Pan a finger moves the image')
        self.page.touch([at(0, 0)], [at(-20, -10)], [at(-40, -20)])
        self.assertEqual(self.settled(), wide, 'and back')
        Select(self.page.find('#preset')).select_by_value('')
        self.assertEqual(self.settled(), fit)

    def test_slices_by_touch(self):
        self.tablet()
        self.open(*self.slices, stacks=1)
        self.settled()
        self.assertIn('slice 3 of 5', self.line())
        slider = self.page.find('#slice')
        self.page.run("arguments[0].scrollIntoView({block: 'center'})", slider)
        x, y, width = self.page.run('const r = arguments[0].getBoundingClientRect(); return [r.x, r.y + r.height / 2, r.width]', slider)
        self.page.touch([(x + width / 2, y)], [(x + 0.7 * width, y)], [(x + width - 6, y)])
        self.page.wait(lambda: 'slice 5 of 5' in self.line(), 'the slider is dragged')

    def test_tap_targets(self):
        self.tablet()
        self.open(*self.slices, self.png, self.painted('text.png', 'PLANTED NAME 1931-02-03'), stacks=3)
        self.ask('What is shown?')
        self.draft()
        self.page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        self.page.wait(lambda: self.page.all('#reports button'), 'earlier reports')
        self.assertEqual(self.page.small_targets(), [])
        self.press('?')
        self.assertEqual(self.page.small_targets(), [])

    def test_series(self):
        self.open(*self.slices, stacks=1)
        self.assertIn('CT axial, 5 slices', self.page.find('#stacks').text)
        self.assertIn('slice 3 of 5', self.line())
        self.focus()
        self.press(Keys.HOME)
        seen = [self.settled()]
        for _ in range(4):
            self.press(Keys.ARROW_DOWN)
            seen.append(self.settled())
        self.assertEqual(len(set(seen)), 5)
        self.assertIn('slice 5 of 5', self.line())
        ActionChains(self.page.driver).scroll_from_origin(self.origin(self.page.find('#picture')), 0, -100).perform()
        self.assertIn('slice 4 of 5', self.line())
        self.assertEqual(self.settled(), seen[3])
        self.page.find('#slice').send_keys(Keys.HOME)
        self.assertEqual(self.settled(), seen[0])
        # Sorted by position: the square becomes lighter from the feet to the head.
        order = self.page.run_async('''const {openFiles} = await import('/page/opening.js');
            const files = given.map(([name, text]) => new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name)), [stack] = await openFiles(files), greys = [];
            for (const {id, frame} of stack.slices) {
              const picture = await createImageBitmap(await (await fetch(`/api/images/${id}/picture?frame=${frame}&window=0,1000`)).blob());
              const context = new OffscreenCanvas(64, 48).getContext('2d');
              context.drawImage(picture, 0, 0);
              greys.push(context.getImageData(30, 24, 1, 1).data[0]);
            }
            return greys;''', *[[p.name, base64.b64encode(p.read_bytes()).decode()] for p in self.slices])
        self.assertEqual(order, sorted(set(order)))

    def test_frames(self):
        self.open(self.frames)
        self.assertIn('slice 2 of 3', self.line())
        before = self.settled()
        self.focus()
        self.press(Keys.ARROW_UP)
        self.assertIn('slice 1 of 3', self.line())
        self.assertNotEqual(self.settled(), before)

    def test_sides_and_models_view(self):
        self.open(self.slices[0])
        plain = self.settled()
        self.focus()
        self.press('m')
        self.page.wait(lambda: 'as the model is shown it' in self.line(), 'the square is shown')
        self.assertNotEqual(self.settled(), plain)
        self.press('m')
        self.assertEqual(self.settled(), plain)

    # ---- questions ----

    def slow_down(self):
        """The server's stream comes to the page one piece after the other, each only when what came before is in sight, however fast the model is: the tiny one's whole
        answer may be one event, which is parted. window.seen: what was in sight whenever another piece came; a page that shows no piece gets no answer."""
        self.page.run('''window.seen = []; const real = window.fetch;
            const parted = (event) => {
              const text = event.choices[0]?.delta.content ?? '', middle = Math.ceil(text.length / 2), with_text = (content) => ({...structuredClone(event), choices: [{...event.choices[0], delta: {content}}]});
              return text.length > 1 ? [with_text(text.slice(0, middle)), with_text(text.slice(middle))] : [event];
            };
            window.fetch = async (path, options) => {
              const response = await real(path, options);
              if (!path.includes('chat')) return response;
              const events = (await response.text()).split('\\n\\n').filter(Boolean).map((line) => line.slice('data: '.length));
              const pieces = events.flatMap((data) => (data === '[DONE]' ? [data] : parted(JSON.parse(data)).map((event) => JSON.stringify(event))));
              let sent = '';
              const pull = async (stream) => {
                const shown = () => document.querySelector('.said')?.textContent ?? '', until = performance.now() + 5000;
                while (shown() !== sent && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
                if (shown() !== sent) return stream.error(new Error(`"${sent}" was sent, and "${shown()}" is in sight`));
                if (sent !== '' && seen.at(-1) !== sent) seen.push(sent);
                if (pieces.length === 0) return stream.close();
                const data = pieces.shift();
                if (data !== '[DONE]') sent += JSON.parse(data).choices[0]?.delta.content ?? '';
                stream.enqueue(new TextEncoder().encode(`data: ${data}\\n\\n`));
              };
              return new Response(new ReadableStream({pull}, {highWaterMark: 0}), {headers: response.headers});
            };''')

    def test_answer_arrives(self):
        self.open(self.slices[0])
        self.slow_down()
        Select(self.page.find('#preset')).select_by_value('lung')
        card, = self.ask('What is shown?')
        seen = self.page.run('return window.seen')
        self.assertGreaterEqual(len(seen), 2, 'the text comes piece by piece')
        self.assertTrue(all(b.startswith(a) for a, b in zip(seen, seen[1:])))
        self.assertIn('Not for clinical use', card.text)
        model, image = self.api('GET', '/api/about')['models'][0]['id'], self.page.run_async('''
            return (await (await fetch('/api/images', {method: 'POST', body: Uint8Array.from(atob(given[0]), (c) => c.charCodeAt(0))})).json()).id;''',
            base64.b64encode(self.slices[0].read_bytes()).decode())
        alone = self.api('POST', '/v1/chat/completions', {'model': model, 'messages': [{'role': 'user', 'content': [
            {'type': 'image_url', 'image_url': {'url': f'pefomed:{image}', 'window': 'lung'}}, {'type': 'text', 'text': 'What is shown?'}]}]})
        self.assertEqual(card.find_element(By.CSS_SELECTOR, '.said').get_property('textContent'), alone['choices'][0]['message']['content'])
        shown, true = float(card.find_element(By.CSS_SELECTOR, '.probability').text), alone['pefomed']['probability'][0]
        self.assertAlmostEqual(shown, true, delta=max(0.0006, true / 2))

    def test_blank_image(self):
        self.open(self.png)
        self.focus()
        self.press('b')
        self.assertTrue(self.page.find('#blank').is_selected())
        cards = self.ask('What is it?')
        self.assertEqual([c.find_element(By.TAG_NAME, 'h3').text for c in cards], ['run', 'run · with a blank image'])
        self.assertEqual(len({c.location['y'] for c in cards}), 1, 'they stand beside each other')

    def test_base_and_adapted(self):
        self.open(self.png)
        base = self.page.all('#models input')[1]
        base.click()
        cards = self.ask('What is it?')
        self.assertEqual([c.get_attribute('data-model') for c in cards], [i.get_attribute('value') for i in self.page.all('#models input')])
        texts = [c.find_element(By.CSS_SELECTOR, '.said').text for c in cards]
        self.assertNotEqual(*texts)
        self.assertEqual(len({c.location['y'] for c in cards}), 1, 'they stand beside each other')

    def test_slices_of_a_series(self):
        self.open(*self.slices, stacks=1)
        Select(self.page.find('#slices')).select_by_value('4')
        self.page.run('''window.bodies = []; const real = window.fetch;
            window.fetch = (path, options) => { if (path.includes('chat')) bodies.push(options.body); return real(path, options); };''')
        self.ask('What is it?')
        content = json.loads(self.page.run('return window.bodies')[0])['messages'][0]['content']
        self.assertEqual([p['type'] for p in content], ['image_url'] * 4 + ['text'])
        self.assertEqual(len({p['image_url']['url'] for p in content[:4]}), 4)

    def test_nothing_is_open(self):
        self.page.find('#question').send_keys('What?' + Keys.ENTER)
        self.page.wait(lambda: 'Open an image' in self.page.find('#status').text, 'it is said')

    def test_stop(self):
        self.open(self.png)
        # An answer that does not end: the tiny model's would be over before a key is pressed.
        self.page.run('''const real = window.fetch; window.fetch = async (path, options) => path.includes('chat')
            ? new Response(new ReadableStream({start: (stream) => options.signal.addEventListener('abort', () => stream.error(options.signal.reason))}))
            : real(path, options);''')
        self.page.find('#question').send_keys('What is it?' + Keys.ENTER)
        self.page.wait(lambda: self.page.find('#ask').text == 'Stop', 'it is being answered')
        self.press(Keys.ESCAPE)
        self.page.wait(lambda: self.page.find('#ask').text == 'Ask', 'it is stopped', 10)
        self.assertEqual(self.page.find('.figures').text, 'Stopped.')

    # ---- reports ----

    def draft(self):
        self.page.find('#indication').send_keys('Write a report.')
        self.page.find('#draft').click()
        self.page.wait(lambda: 'A draft of run' in self.page.find('#report-state').text, 'the draft is kept')

    def test_report(self):
        self.open(*self.slices[:2], stacks=1)
        self.assertFalse(self.page.find('#accept').is_enabled())
        self.draft()
        drafted = self.value('#report-text')
        self.assertNotEqual(drafted, '')
        text = self.page.find('#report-text')
        text.clear()
        text.send_keys('FINDINGS: A square, sehr schön.\n\nIMPRESSION: Square.')
        self.page.wait(lambda: 'kept' in self.page.find('#report-state').text, 'what is written is kept')
        report = self.api('GET', '/api/reports')['reports'][0]
        stored = self.api('GET', f'/api/reports/{report["id"]}')
        self.assertEqual((stored['draft'], stored['text'], stored['state']), (drafted, 'FINDINGS: A square, sehr schön.\n\nIMPRESSION: Square.', 'draft'))
        self.assertFalse(self.page.find('#save-sr').is_enabled(), 'a draft goes into no archive')
        text.send_keys('\nSeen.')
        self.page.find('#accept').click()
        self.page.wait(lambda: 'Accepted' in self.page.find('#report-state').text, 'it is accepted')
        self.assertFalse(text.is_enabled())
        self.page.find('#save-text').click()
        saved = self.page.downloaded('report.txt').decode()
        self.assertTrue(saved.startswith('FINDINGS: A square, sehr schön.\n\nIMPRESSION: Square.\nSeen.\n'), saved)
        self.assertIn('Not for clinical use', saved)
        for kind, sop in (('basic', '1.2.840.10008.5.1.4.1.1.88.11'), ('enhanced', '1.2.840.10008.5.1.4.1.1.88.22')):
            Select(self.page.find('#sr-kind')).select_by_value(kind)
            self.page.find('#save-sr').click()
            self.check_sr(self.page.downloaded('report.dcm'), sop)

    def test_verified_by(self):
        self.open(*self.slices[:2], stacks=1)
        name, organization = self.page.find('#verified-by'), self.page.find('#verified-at')
        self.assertFalse(name.is_enabled(), 'there is nothing to accept')
        self.draft()
        self.page.run('''window.accepted = []; const real = window.fetch;
            window.fetch = (path, options) => { if (path.endsWith('/accept')) accepted.push(JSON.parse(options.body)); return real(path, options); };''')
        name.send_keys(' Planted^Zoë ')
        self.page.find('#accept').click()
        self.page.wait(lambda: 'fill in both, or neither' in self.page.find('#status').text, 'it is said what is missing')
        self.assertEqual(self.page.run('return document.activeElement.id'), 'verified-at')
        self.assertEqual(self.page.run('return window.accepted'), [], 'nothing is sent')
        organization.send_keys('A Ward')
        self.page.find('#accept').click()
        self.page.wait(lambda: 'Accepted, verified by Planted^Zoë (A Ward).' in self.page.find('#report-state').text, 'it is accepted in this name')
        self.assertEqual(self.page.run('return window.accepted'), [{'version': 1, 'observer': 'Planted^Zoë', 'organization': 'A Ward'}])
        self.assertEqual(self.page.find('#status').text, '')
        import io
        import pydicom
        self.page.find('#save-sr').click()
        sr = pydicom.dcmread(io.BytesIO(self.page.downloaded('report.dcm')))
        observer, = sr.VerifyingObserverSequence
        self.assertEqual((sr.VerificationFlag, str(observer.VerifyingObserverName), observer.VerifyingOrganization), ('VERIFIED', 'Planted^Zoë', 'A Ward'))
        self.assertEqual(self.page.run('return localStorage.length + sessionStorage.length'), 0, 'the browser keeps no name')

    def test_verified_by_nobody(self):
        self.open(self.slices[0])
        self.draft()
        self.page.run('''window.accepted = []; const real = window.fetch;
            window.fetch = (path, options) => { if (path.endsWith('/accept')) accepted.push(JSON.parse(options.body)); return real(path, options); };''')
        self.page.find('#accept').click()
        self.page.wait(lambda: 'Accepted. It cannot' in self.page.find('#report-state').text, 'it is accepted')
        self.assertEqual(self.page.run('return window.accepted'), [{'version': 1}], 'what is not filled in is not sent')

    def check_sr(self, data, sop):
        import io
        import pydicom
        sr = pydicom.dcmread(io.BytesIO(data))
        self.assertEqual((sr.SOPClassUID, sr.StudyInstanceUID, sr.PatientID, sr.PatientName), (sop, '1.2.826.0.1.3680043.8.498.1', 'PLANTED-4711', 'Planted^Name'))
        texts = [element.value for element in sr.iterall() if element.keyword == 'TextValue']
        self.assertIn('A square, sehr schön.', texts)

    def test_earlier_report(self):
        self.open(self.png)
        self.draft()
        text = self.page.find('#report-text')
        text.send_keys(' And more.')
        self.page.wait(lambda: 'kept' in self.page.find('#report-state').text, 'it is kept')
        written = self.value('#report-text')
        self.page.get(self.address)
        self.page.wait(lambda: self.page.all('#reports button'), 'earlier reports are listed')
        self.page.find('summary').click()
        self.page.all('#reports button')[0].click()
        self.page.wait(lambda: self.value('#report-text') == written, 'it is opened again')
        self.assertFalse(self.page.find('#save-sr').is_enabled())
        self.page.find('#remove-report').click()
        self.page.wait(lambda: 'Removed' in self.page.find('#report-state').text, 'it is removed')

    def test_changed_elsewhere(self):
        self.open(self.png)
        self.draft()
        report = self.api('GET', '/api/reports')['reports'][0]
        self.api('PUT', f'/api/reports/{report["id"]}', {'text': 'Another one wrote.', 'version': 1})
        self.allowed = ['the server responded with a status of 409']
        self.page.find('#report-text').send_keys('x')
        self.page.wait(lambda: 'Not kept: the report was changed meanwhile' in self.page.find('#report-state').text, 'it is said')
        self.assertEqual(self.api('GET', f'/api/reports/{report["id"]}')['text'], 'Another one wrote.')

    # ---- all of it ----

    def test_nothing_of_the_patient_is_kept(self):
        self.open(self.slices[0])
        self.draft()
        self.page.find('#accept').click()
        self.page.wait(lambda: 'Accepted' in self.page.find('#report-state').text, 'it is accepted')
        for path in (self.work / 'home').rglob('*'):
            data = path.read_bytes() if path.is_file() else b''
            for mark in (b'Planted', b'PLANTED-4711', b'1.2.826.0.1.3680043'):
                self.assertNotIn(mark, data, path)

    def test_looks(self):
        self.open(*self.slices, self.png, stacks=2)
        self.page.find('#blank').click()
        self.ask('Is there a square in the picture, and where?')
        self.draft()
        for name, size, dark in (('light', 'desktop', False), ('dark', 'desktop', True), ('tablet', 'tablet', False)):
            self.page.look(size, dark)
            self.settled()
            self.page.run('scrollTo(0, 0)')
            self.page.picture(self.shots / f'read-{name}.png')
            self.assertEqual(self.page.violations(), [], name)
            wide = self.page.run('return document.documentElement.scrollWidth - document.documentElement.clientWidth')
            self.assertLessEqual(wide, 0, f'{name}: nothing stands beside the window')
        self.page.run('scrollTo(0, document.body.scrollHeight)')
        self.page.picture(self.shots / 'read-tablet-below.png')
        self.page.look()
        self.focus()
        self.press('?')
        self.page.picture(self.shots / 'keys.png')
        self.assertEqual(self.page.violations(), [], 'keys')


class Token(unittest.TestCase):
    build = work = shots = None

    def test_token(self):
        make_run(self.build, self.work)
        address, _ = self.enterContext(serve(self.build, self.work, '--token', 'a-long-token'))
        page = Browser(self.work)
        self.addCleanup(page.close)
        page.look()
        page.get(address)
        page.wait(lambda: page.find('#token-dialog').get_property('open'), 'it asks')
        page.picture(self.shots / 'token.png')
        self.assertEqual(page.violations(), [])
        page.find('#token').send_keys('another-token' + Keys.ENTER)
        page.wait(lambda: 'not the right one' in page.find('#status').text, 'it says so')
        page.wait(lambda: page.find('#token-dialog').get_property('open'), 'it asks again')
        page.find('#token').send_keys('a-long-token' + Keys.ENTER)
        page.wait(lambda: page.all('#ask'), 'the view is shown')
        page.find('#files').send_keys(str(self.work / 'p1.png'))
        page.wait(lambda: len(page.all('#stacks li')) == 1, 'images are opened')
        self.assertEqual(page.run('return localStorage.length'), 0, 'the token ends with the tab')
        self.assertEqual([e for e in page.errors() if '401' not in e], [])
