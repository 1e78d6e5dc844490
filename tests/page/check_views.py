"""The page's views *Runs* and *Answers*, in Chromium. Run by script/check-page."""
import fcntl
import json
import os
import subprocess
import time
import unittest

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from page_browser import Browser, make_run, scan, serve


class Views(unittest.TestCase):
    build = work = shots = None # set by script/check-page

    @classmethod
    def setUpClass(cls):
        make_run(cls.build, cls.work)
        env = {**os.environ, 'PEFOMED_HOME': str(cls.work / 'home')}
        run = lambda *words: subprocess.run([cls.build / 'pefomed', *words, '--quiet'], cwd=cls.work, env=env, check=True, stdout=subprocess.DEVNULL)
        run('train', 'tiny.yaml', '--data', 'table.jsonl', '--out', 'other', '--set', 'train.learning_rate=0.02', '--set', 'train.weight_decay=0.125')
        for name in ('run', 'other'):
            run('eval', name, '--out', f'{name}/answers.jsonl')
        for name, every in (('run', 2), ('other', 3)): # a run of a second has no right answers
            rows = [json.loads(line) for line in (cls.work / name / 'answers.jsonl').read_text().splitlines()]
            for row in rows[::every]:
                row.update(prediction=row['answer'], correct=True)
            (cls.work / name / 'answers.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
        cls.rows = [json.loads(line) for line in (cls.work / 'run/answers.jsonl').read_text().splitlines()]
        scan(cls.work / 'scan.dcm')
        cls.write_many(cls.work / 'many.jsonl')
        (cls.work / 'ct').mkdir()
        for i in range(5):
            scan(cls.work / f'ct/{9 - i}.dcm', position=10.0 * i, number=i + 1)
        row = {'question': 'What?', 'answer': 'yes', 'prediction': 'yes', 'answer_type': 'CLOSED'}
        (cls.work / 'series.jsonl').write_text(''.join(json.dumps({'id': f's{i}', **row, **more}) + '\n' for i, more in enumerate(
            ({'image': 'ct', 'images': ['ct', 'p1.png']}, {'image': 'ct', 'images': ['ct'] * 3, 'slices': [1, 3, 5]}))))
        cls.address, cls.process = cls.enterClassContext(serve(cls.build, cls.work, '--images', '.'))
        cls.browser = Browser(cls.work)
        cls.addClassCleanup(cls.browser.close)

    @classmethod
    def write_many(cls, path):
        """Rows of all that is filtered by: a DICOM image, several images, one that is not there, an answer that is markup."""
        rows = [{'id': f'm{i}', 'image': 'p1.png', 'question': f'Question {i} about the {["left", "right"][i % 2]} lung?', 'answer': 'yes', 'prediction': ['yes', 'no'][i % 3 == 0],
                 'answer_type': ['OPEN', 'CLOSED'][i % 2], 'modality': ['CT', 'MRI', 'X-Ray'][i % 3], 'probability': i / 60} for i in range(60)]
        rows[0].update(image='scan.dcm', question='Is this a DICOM scan?')
        rows[1].update(images=['p1.png', 'p2.png'])
        rows[2].update(image='missing.png', answer='<b>bold</b><script>alert(1)</script>')
        path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
        cls.many = rows

    def setUp(self):
        self.page = self.browser
        self.page.look()
        self.allowed = []

    def tearDown(self):
        self.assertEqual([e for e in self.page.errors() if not any(a in e for a in self.allowed)], [], 'nothing is said to the console')

    # ---- helpers ----

    def go(self, hash, css):
        self.page.get(self.address + hash)
        self.page.wait(lambda: self.page.all(css), f'{hash} is shown')

    def press(self, *keys):
        ActionChains(self.page.driver).send_keys(*keys).perform()

    def texts(self, css):
        return [e.text for e in self.page.all(css)]

    def curve(self, name):
        return [c for c in self.page.all('path[data-points]') if c.get_attribute('data-name') == name]

    def shown(self):
        return [row.find_element(By.CSS_SELECTOR, '.question').text for row in self.page.all('.row-of-answers')]

    def matching(self, count):
        self.page.wait(lambda: self.page.find('#answers-summary').text.startswith(f'{count} of '), f'{count} rows match')

    def choose(self, css, value):
        Select(self.page.find(css)).select_by_value(value)

    # ---- runs ----

    def test_runs(self):
        self.go('#runs', 'path[data-points]')
        self.assertEqual(self.page.driver.title, 'Runs – pefomed')
        self.assertEqual(self.texts('#run-table a'), ['other', 'run'])
        self.assertEqual(self.texts('#run-table .state'), ['✓ finished'] * 2)
        self.page.find('#run-table tr[data-run=run] a').click()
        self.page.wait(lambda: self.page.find('#run-title').text == 'run', 'it is chosen')
        self.assertEqual([link.text for link in self.page.all('#run-table [aria-current]')], ['run'])
        self.page.find('#run-filter').send_keys('oth')
        self.assertEqual(self.texts('#run-table a'), ['other'])

    def test_curves(self):
        self.go('#runs/run', 'path[data-points]')
        lines = [json.loads(line) for line in (self.work / 'run/log.jsonl').read_text().splitlines()]
        self.assertEqual(self.curve('loss')[0].get_attribute('data-points'), str(len(lines)))
        chart = self.page.find('#loss-chart svg.chart')
        labels = [t.text for t in chart.find_elements(By.CSS_SELECTOR, '.label')]
        self.assertEqual(labels, ['step', 'loss (nats)'])
        ActionChains(self.page.driver).move_to_element(chart).perform()
        self.assertRegex(self.page.find('#loss-chart-values').text, r'^step \d+')
        self.page.run('arguments[0].focus()', chart)
        self.press(Keys.END)
        self.assertIn(f'step {len(lines)}', self.page.find('#loss-chart-values').text)
        self.assertIn(f"loss {float(format(lines[-1]['loss'], '.4g')):g}", self.page.find('#loss-chart-values').text)
        self.press(Keys.ARROW_LEFT)
        self.assertIn(f'step {len(lines) - 1}', self.page.find('#loss-chart-values').text)
        self.assertIn('Arrow keys tell its values', chart.get_attribute('aria-label'))
        before = self.curve('loss')[0].get_attribute('d')
        self.page.find('#loss-chart-log').click()
        self.assertNotEqual(self.curve('loss')[0].get_attribute('d'), before)
        self.assertIn('loss (nats), logarithmic', self.texts('#loss-chart .label'))
        self.press('l')
        self.assertEqual(self.curve('loss')[0].get_attribute('d'), before)
        self.page.find('#loss-chart-smooth').click()
        self.assertNotEqual(self.curve('loss')[0].get_attribute('d'), before)
        self.choose('#run-curve', 'grad_norm')
        self.assertEqual(len(self.curve('norm of the gradient')), 1)

    def test_settings(self):
        self.go('#runs/run', '#recipe')
        self.page.find('#recipe summary').click()
        self.assertEqual(self.page.find('#recipe pre').text.strip(), (self.work / 'run/recipe.yaml').read_text().strip())
        self.page.find('#audit summary').click()
        self.assertIn('recipe_sha256', self.page.find('#audit pre').text)

    def test_scores(self):
        self.go('#runs/run', '#scores')
        score = json.loads((self.work / 'run/scores/validate-none.json').read_text())
        self.assertIn(f'{score["overall"]:.1f} ({score["ci95"]["overall"][0]:.1f}–{score["ci95"]["overall"][1]:.1f})', self.page.find('#scores').text)
        self.assertEqual(len(self.page.all('#scores .cards table')), len(score['by']))
        for values in score['by'].values():
            for value, figures in values.items():
                self.assertIn(f'{value} {figures["n"]} {figures["overall"]:.1f}', self.page.find('#scores').text.replace('\n', ' '))

    def test_two_runs(self):
        self.go('#runs/run', '#run-other option[value=other]')
        self.choose('#run-other', 'other')
        self.page.wait(lambda: self.page.all('table.difference'), 'both are compared')
        self.assertEqual(len(self.curve('loss, run')), 1)
        self.assertEqual(len(self.curve('loss, other')), 1)
        looks = {(c.value_of_css_property('stroke'), c.get_attribute('stroke-dasharray')) for c in self.page.all('#loss-chart path[data-points]')}
        self.assertEqual(len({colour for colour, _ in looks}), len(self.page.all('#loss-chart path[data-points]')))
        self.assertEqual(len({dashes for _, dashes in looks}), len(looks), 'told apart without colour')
        differ = self.page.find('#differences').text
        for key in ('train.learning_rate', 'train.weight_decay'):
            self.assertIn(key, differ)
        self.assertNotIn('train.epochs', differ)
        told = self.page.find('table.difference tbody tr').text
        self.assertRegex(told, r'^all \d+ \d+ [\d.]+ [\d.]+ [+−]?[\d.]+ \([+−]?[\d.]+ to [+−]?[\d.]+\) ')
        self.assertIn('Scores side by side', self.texts('h2'))
        self.press('x')
        self.page.wait(lambda: self.page.find('#run-title').text == 'other', 'they are exchanged')
        self.page.wait(lambda: self.page.all('#paired a'), 'the difference is there')
        self.page.find('#paired a').click()
        self.page.wait(lambda: self.page.all('#answers-counts'), 'one comes to the answers')

    def test_live(self):
        """A run's log grows, is taken back, and ends, while the page is open."""
        folder = self.work / 'growing'
        folder.mkdir()
        self.addCleanup(lambda: subprocess.run(['rm', '-r', folder], check=True))
        (folder / 'recipe.yaml').write_text((self.work / 'run/recipe.yaml').read_text())
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        log = open(folder / 'log.jsonl', 'w')
        def write(steps, end=''):
            for n in steps:
                log.write(json.dumps({'step': n, 'loss': 5 / n}) + '\n')
            log.write(end)
            log.flush()
        points = lambda: self.page.run("return document.querySelector('#loss-chart path[data-points]')?.dataset.points")
        write(range(1, 11))
        self.go('#runs/run', '#run-table tr[data-run=growing]')
        self.page.find('#run-table tr[data-run=growing] a').click()
        self.page.wait(lambda: points() == '10', 'it is drawn')
        self.assertIn('● training', self.page.find('#run-state').text)
        self.page.run("document.getElementById('run-filter').focus()")
        write(range(11, 31), '{"step":31,"lo')
        self.page.wait(lambda: points() == '30', 'it grows')
        self.assertIn('step 30', self.page.find('#run-state').text)
        self.assertTrue(self.page.run("return document.activeElement.id === 'run-filter'"), 'focus stays where it is')
        write([], 'ss":1}\n')
        self.page.wait(lambda: points() == '31', 'the half line is whole')
        kept = ''.join((folder / 'log.jsonl').read_text().splitlines(True)[:20])
        (folder / 'new').write_text(kept)
        os.replace(folder / 'new', folder / 'log.jsonl')
        self.page.wait(lambda: points() == '20', 'lines that were taken back are gone')
        os.close(held)
        self.page.wait(lambda: '■ interrupted' in self.page.find('#run-state').text, 'it is said that nobody works at it')
        (folder / 'aligner.safetensors').write_bytes(b'')
        self.page.wait(lambda: '✓ finished' in self.page.find('#run-state').text, 'and that it is done')

    # ---- answers ----

    def test_files(self):
        self.go('#answers', '.row-of-answers')
        self.assertEqual([o.text for o in Select(self.page.find('#answers-file')).options], ['many.jsonl', 'other:answers.jsonl', 'run:answers.jsonl', 'series.jsonl'])
        self.choose('#answers-file', 'run:answers.jsonl')
        self.matching(len(self.rows))
        self.assertEqual(self.shown()[0], self.rows[0]['question'])
        self.assertIn(f'{100 * sum(r["correct"] for r in self.rows) / len(self.rows):.1f} % right', self.page.find('#answers-summary').text)

    def test_filters(self):
        self.go('#answers/many.jsonl', '.row-of-answers')
        self.matching(60)
        self.choose('#answers-right', 'wrong')
        self.matching(21)
        self.assertTrue(all(row.get_attribute('data-correct') == 'false' for row in self.page.all('.row-of-answers')))
        self.assertEqual(Select(self.page.find('#answers-right')).first_selected_option.text, 'wrong (21)')
        self.choose('#answers-kind', 'OPEN')
        self.matching(11)
        self.choose('#column-modality', 'CT')
        self.matching(10)
        self.assertIn('MRI (0)', [o.text for o in Select(self.page.find('#column-modality')).options])
        self.page.find('#answers-words').send_keys('LEFT lun*')
        self.matching(9)
        self.page.find('#answers-words').send_keys(' nowhere')
        self.matching(0)
        self.assertEqual(self.texts('#answers li'), ['No row is so.'])
        self.page.find('#answers-clear').click()
        self.matching(60)

    def test_pages_and_keys(self):
        self.go('#answers/many.jsonl', '.row-of-answers')
        self.matching(60)
        self.assertFalse(self.page.find('#answers-before').is_enabled())
        self.press('n')
        self.page.wait(lambda: self.page.find('#answers-place').text == '26 to 50', 'the next page')
        self.press('p')
        self.page.wait(lambda: self.page.find('#answers-place').text == '1 to 25', 'the page before')
        self.press('j')
        self.assertEqual(self.page.run('return document.activeElement.dataset.n'), '1')
        self.press('k')
        self.assertEqual(self.page.run('return document.activeElement.dataset.n'), '0')
        self.press('w')
        self.matching(21)
        self.press('/')
        self.press('dicom')
        self.matching(1)

    def test_images(self):
        self.go('#answers/many.jsonl', '.thumbnail img')
        size = lambda css: self.page.run('const i = document.querySelector(arguments[0]); return i && i.complete ? [i.naturalWidth, i.naturalHeight] : null', css)
        self.page.wait(lambda: size('[data-n="0"] .thumbnail img') == [64, 48], 'the DICOM image is shown')
        self.page.wait(lambda: len(self.page.all('[data-n="1"] .thumbnail img')) == 2, 'both images of a row')
        self.assertEqual(self.texts('[data-n="2"] .thumbnail'), ['missing.png is not in the folders of images'])
        self.assertIn('<b>bold</b><script>alert(1)</script>', self.page.find('[data-n="2"]').text, 'markup is text')
        self.press('j', Keys.ENTER)
        self.page.wait(lambda: size('#answers-large img') == [64, 48], 'it is shown large')
        self.assertTrue(self.page.find('#answers-large').get_property('open'))
        self.assertIn('scan.dcm', self.page.find('#answers-large').text)
        self.press(Keys.ESCAPE)
        self.assertFalse(self.page.find('#answers-large').get_property('open'))

    def test_series(self):
        """All slices of a row: of a folder each one, of slices that a model was shown those."""
        self.go('#answers/series.jsonl', '.thumbnail img')
        self.assertEqual([len(self.page.all(f'[data-n="{n}"] .thumbnail')) for n in (0, 1)], [2, 3])
        self.page.wait(lambda: len(self.page.all('.thumbnail img')) == 5, 'all are shown small, a series by its middle')
        self.page.find('[data-n="0"] .thumbnail').click()
        line = lambda: self.page.find('#answers-large figcaption').text
        self.page.wait(lambda: line() == 'image 1 of 2 · slice 3 of 5 · ct', 'the middle')
        seen = set()
        for text in ('slice 4 of 5', 'slice 5 of 5', 'image 2 of 2 · p1.png', 'image 2 of 2 · p1.png'):
            self.press(Keys.ARROW_DOWN)
            self.page.wait(lambda: text in line(), text)
            self.page.wait(lambda: self.page.run("const i = document.querySelector('#answers-large img'); return i.complete && i.naturalWidth > 0"), 'it is drawn')
            time.sleep(0.2)
            seen.add(self.page.find('#answers-large img').get_attribute('src'))
        self.assertEqual(len(seen), 3)
        self.press(Keys.HOME)
        self.page.wait(lambda: 'slice 1 of 5' in line(), 'the first')
        self.page.picture(self.shots / 'answers-series.png')
        self.assertEqual(self.page.violations(), [])
        self.press(Keys.ESCAPE)
        self.page.all('[data-n="1"] .thumbnail')[2].click()
        self.page.wait(lambda: line() == 'image 3 of 3 · ct', 'a slice that the row names')
        self.press(Keys.ARROW_UP)
        self.page.wait(lambda: line() == 'image 2 of 3 · ct', 'the one before')
        self.press(Keys.ESCAPE)

    def test_two_files(self):
        self.go('#answers/run:answers.jsonl', '.row-of-answers')
        self.choose('#answers-other', 'other:answers.jsonl')
        other = {r['id']: r for r in map(json.loads, (self.work / 'other/answers.jsonl').read_text().splitlines())}
        self.matching(sum(r['prediction'] != other[r['id']]['prediction'] for r in self.rows))
        counts = self.page.find('#answers-counts').text
        self.assertIn(f'Only run:answers.jsonl right {sum(r["correct"] and not other[r["id"]]["correct"] for r in self.rows)}', counts.replace('\n', ' '))
        self.assertIn('Prediction of other:answers.jsonl', self.page.find('.row-of-answers').text)
        self.choose('#answers-differ', 'all')
        self.matching(len(self.rows))
        self.choose('#answers-differ', 'worse')
        self.matching(sum(not r['correct'] and other[r['id']]['correct'] for r in self.rows))
        self.page.find('#answers-scores summary').click()
        self.page.wait(lambda: self.page.all('table.difference'), 'the difference is computed')
        self.assertRegex(self.page.find('table.difference tbody tr').text, '^all ')
        self.press('x')
        self.page.wait(lambda: self.page.find('#answers-file').get_property('value') == 'other:answers.jsonl', 'they are exchanged')

    def test_damaged_file(self):
        path = self.work / 'damaged.jsonl'
        path.write_text(json.dumps(self.rows[0]) + '\n{"id":')
        self.addCleanup(time.sleep, 1.1) # until it is not listed any more
        self.addCleanup(path.unlink)
        self.allowed = ['the server responded with a status of 400']
        time.sleep(1.1)
        self.page.get(self.address + '#answers/damaged.jsonl')
        self.page.wait(lambda: 'damaged.jsonl line 2: not JSON' in self.page.find('#status').text, 'it is said')

    # ---- all of it ----

    def test_tap_targets(self):
        self.page.touch_device()
        self.addCleanup(self.page.touch_device, False)
        for hash, css in (('#runs/run/other', 'table.difference'), ('#answers/run:answers.jsonl/other:answers.jsonl', '#answers-counts'), ('#answers/many.jsonl', '.thumbnail img'), ('#answers/series.jsonl', '.thumbnail img')):
            self.go(hash, css)
            self.page.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
            self.assertEqual(self.page.small_targets(), [], hash)
        self.page.tap(self.page.find('.thumbnail'))
        self.page.wait(lambda: 'slice 3 of 5' in self.page.find('#answers-large').text, 'it is shown large by a tap')
        self.assertEqual(self.page.small_targets(), [], 'large')

    def test_looks(self):
        for name, hash, css in (('runs', '#runs/run/other', 'table.difference'), ('answers', '#answers/many.jsonl', '.thumbnail img'), ('answers-two', '#answers/run:answers.jsonl/other:answers.jsonl', '#answers-counts')):
            for look, size, dark in (('light', 'desktop', False), ('dark', 'desktop', True), ('tablet', 'tablet', False)):
                self.page.look(size, dark)
                self.go(hash, css)
                self.page.wait(lambda: not self.page.all('button.thumbnail:not(:has(img))') or name != 'answers' or self.page.run("return document.querySelectorAll('.thumbnail img').length > 1"), 'images are there')
                if name == 'answers-two':
                    self.page.find('#answers-scores summary').click()
                    self.page.wait(lambda: self.page.all('table.difference'), 'the difference is computed')
                self.page.picture(self.shots / f'{name}-{look}.png')
                self.assertEqual(self.page.violations(), [], f'{name}, {look}')
                wide = self.page.run('return document.documentElement.scrollWidth - document.documentElement.clientWidth')
                self.assertLessEqual(wide, 0, f'{name}, {look}: nothing stands beside the window')
            self.page.run('scrollTo(0, document.body.scrollHeight)')
            self.page.picture(self.shots / f'{name}-tablet-below.png')
        self.press('?')
        self.page.picture(self.shots / 'answers-keys.png')
        self.assertIn('right, wrong, all', self.page.find('#keys').text)


class NoRuns(unittest.TestCase):
    build = work = shots = None

    def test_nothing(self):
        """A recipe alone is served: there are no runs, no answers and no images, which is said."""
        make_run(self.build, self.work)
        (self.work / 'empty').mkdir()
        address, _ = self.enterContext(serve(self.build, self.work, '--runs', 'empty', '--predictions', 'empty'))
        page = Browser(self.work)
        self.addCleanup(page.close)
        page.look()
        page.get(address + '#runs')
        page.wait(lambda: 'There are no runs' in page.find('#run-table').text, 'it is said')
        page.get(address + '#answers')
        page.wait(lambda: 'There are no files of predictions' in page.find('#answers-summary').text, 'it is said')
        self.assertEqual([e.get_attribute('id') for e in page.all('main button, main select, main input') if e.is_displayed() and e.is_enabled()], [], 'and there is nothing to press')
        page.picture(self.shots / 'answers-none.png')
        page.get(address + '#rate')
        page.wait(lambda: 'There is no study yet' in page.find('main').text, 'it is said')
        self.assertEqual(page.errors(), [])
