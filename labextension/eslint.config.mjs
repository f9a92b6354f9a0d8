import js from '@eslint/js';
import jupyter from '@jupyter/eslint-plugin';
import prettier from 'eslint-config-prettier';
import hooks from 'eslint-plugin-react-hooks';
import ts from 'typescript-eslint';

const speaksToServer = {
  name: '@jupyterlab/services',
  importNames: ['ServerConnection'],
  message: 'Only src/api speaks to the server.'
};

/** What a folder may not import: panels → model → api. */
function wall(files, group) {
  return {
    files: [files],
    rules: { 'no-restricted-imports': ['error', { patterns: [{ group }] }] }
  };
}

const drawing = [
  '**/panels/**',
  'react',
  '@lumino/widgets',
  '@jupyterlab/apputils',
  '@jupyterlab/notebook',
  '@jupyterlab/ui-components'
];

export default ts.config(
  {
    ignores: [
      'lib',
      'node_modules',
      'coverage',
      '.yarn',
      '**/*.js',
      'package.json'
    ]
  },
  { ...js.configs.recommended, files: ['**/*.{ts,tsx,mjs}'] },
  ...ts.configs.recommendedTypeChecked.map(config => ({
    ...config,
    files: ['src/**/*.{ts,tsx}', 'tests/**/*.ts']
  })),
  {
    files: ['src/**/*.{ts,tsx}', 'tests/**/*.ts'],
    languageOptions: { parserOptions: { project: './tsconfig.test.json' } },
    plugins: { 'react-hooks': hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      '@typescript-eslint/consistent-type-assertions': 'error',
      // A token and its interface share a name, after JupyterLab's custom.
      '@typescript-eslint/no-redeclare': 'off',
      // A signal is given its slot and the slot's `this` as two arguments.
      '@typescript-eslint/unbound-method': 'off',
      curly: 'error',
      eqeqeq: 'error',
      'no-restricted-imports': ['error', { paths: [speaksToServer] }],
      'prefer-arrow-callback': 'error'
    }
  },
  { plugins: { jupyter } },
  ...jupyter.configs.recommended,
  {
    // Nobody reads tests in French, and those of src/api speak to a server of their own.
    files: ['tests/**'],
    rules: {
      'jupyter/no-untranslated-string': 'off',
      'no-restricted-imports': 'off'
    }
  },
  {
    // The panels are what activation adds, so there is nothing to put off.
    files: ['src/plugins/**'],
    rules: { 'jupyter/prefer-lazy-imports': 'off' }
  },
  wall('src/api/**', [
    ...drawing,
    '**/model/**',
    '**/commands',
    '**/notebook',
    '**/tokens'
  ]),
  wall('src/model/**', [
    ...drawing,
    '@jupyterlab/services',
    '**/commands',
    '**/notebook',
    '**/tokens'
  ]),
  {
    files: ['src/model/**'],
    rules: {
      'no-restricted-globals': ['error', 'document', 'window', 'fetch']
    }
  },
  {
    files: ['src/panels/**'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: [speaksToServer],
          patterns: [
            // the shapes of the answers may be drawn; asking is for the models
            { regex: '^\\.\\./api(/(index|problems))?$' },
            { group: ['../notebook', '../commands'] }
          ]
        }
      ]
    }
  },
  prettier
);
