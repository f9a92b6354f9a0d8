import { execFileSync } from 'child_process';

import {
  explainCode,
  IMPORT,
  inspectCode,
  predictCode,
  pythonString,
  queryCode,
  withImport
} from '../src/model/code';

const HOSTILE = [
  '',
  'demo',
  `it's`,
  'SELECT "e_Plx" FROM "I/239/hip_main"',
  '"',
  '""',
  '"""',
  '""""',
  'ends with "',
  'ends with """',
  '"starts with',
  'a back\\slash',
  'ends with a backslash\\',
  'a backslash and a quote \\"',
  '\\"""\n\\',
  'line\nline "quoted"\nline\\n',
  'tab\there\nand\tthere',
  'carriage\r\nreturn',
  'nul\u0000 bell\u0007 delete\u007f',
  'next line\u0085 separators\u2028\u2029',
  'half a pair \ud83d',
  'a whole pair 🌌 and µas α≥β',
  '""" + __import__("os").system("true") + """',
  '{braces} %s %(name)s',
  'SELECT 1\n>>> pasted\n... prompt',
  'SELECT 1\nIn [3]: pasted',
  '%%bash\n!ls\n?help',
  '\n\n  \n'
];

/** What Python itself reads in each literal. */
function read(literals: string[]): unknown {
  const program = [
    'import ast, json, sys',
    'lines = json.load(sys.stdin)',
    'print(json.dumps([ast.literal_eval(line) for line in lines]))'
  ].join('\n');
  const answer = execFileSync('python3', ['-c', program], {
    input: JSON.stringify(literals),
    encoding: 'utf-8'
  });
  return JSON.parse(answer);
}

describe('a Python string', () => {
  it('means exactly what was written, whatever that is', () => {
    expect(read(HOSTILE.map(pythonString))).toEqual(HOSTILE);
  });

  it('means the same for every short mix of quotes, backslashes and lines', () => {
    const letters = ['"', '\\', '\n', 'a'];
    let mixes = [''];
    const all: string[] = [];
    for (let length = 0; length < 5; length += 1) {
      mixes = mixes.flatMap(mix => letters.map(letter => mix + letter));
      all.push(...mixes);
    }
    expect(all).toHaveLength(4 + 16 + 64 + 256 + 1024);
    expect(read(all.map(pythonString))).toEqual(all);
  });

  it('keeps the lines of a query readable', () => {
    expect(pythonString('SELECT "a"\nFROM b')).toBe('"""SELECT "a"\nFROM b"""');
  });

  it('stays on one line where IPython would cut what looks like a prompt', () => {
    expect(pythonString('SELECT 1\n>>> 2')).toBe('"SELECT 1\\n>>> 2"');
  });
});

describe('the cells', () => {
  it('ask one line in one line', () => {
    expect(
      queryCode({ archive: 'demo', adql: '  SELECT 1 AS x ' }).split('\n')
    ).toEqual(['rows = aml.archive("demo").query("SELECT 1 AS x")', 'rows']);
  });

  it('give the lines of a query lines of their own', () => {
    expect(
      queryCode({ archive: 'demo', adql: 'SELECT *\nFROM demo.stars\n' })
    ).toBe(
      'rows = aml.archive("demo").query("""\nSELECT *\nFROM demo.stars\n""")\nrows'
    );
  });

  it('follow the story: rows, run, inspector, maps', () => {
    expect(predictCode({ model: 'flares', engine: 'here' })).toBe(
      'run = aml.predict(rows, model="flares", engine="here")\nrun.predictions()'
    );
    expect(inspectCode()).toBe('aml.inspect(run)');
    expect(explainCode()).toContain('aml.explain(run');
  });

  it('cannot be left by the name of an archive or by a query', () => {
    const hostile = '") or __import__("os").abort() or ("';
    const code = queryCode({ archive: hostile, adql: `""" ${hostile} """` });
    const program = [
      'import ast, json, sys',
      'tree = ast.walk(ast.parse(sys.stdin.read()))',
      'calls = [node for node in tree if isinstance(node, ast.Call)]',
      'print(json.dumps([[a.value for a in c.args] for c in calls]))'
    ].join('\n');
    const calls: unknown = JSON.parse(
      execFileSync('python3', ['-c', program], {
        input: code,
        encoding: 'utf-8'
      })
    );
    expect(calls).toEqual([[`""" ${hostile} """`], [hostile]]);
  });
});

describe('the import', () => {
  it('is written where the notebook has not run it yet', () => {
    expect(withImport('aml.inspect(run)', [])).toBe(
      `${IMPORT}\n\naml.inspect(run)`
    );
    expect(withImport('run', [{ source: IMPORT, executed: false }])).toContain(
      IMPORT
    );
    expect(
      withImport('run', [{ source: `# ${IMPORT}`, executed: true }])
    ).toContain(IMPORT);
  });

  it('is not written twice', () => {
    expect(
      withImport('run', [
        { source: 'x = 1', executed: true },
        { source: `import numpy\n${IMPORT}\n`, executed: true }
      ])
    ).toBe('run');
  });
});
