// JupyterLab ships ECMAScript modules, which jest reads only once they are translated.
const modules = [
  '@jupyter',
  '@jupyterlab',
  '@microsoft',
  'exenv-es6',
  'lib0',
  'nanoid',
  'y-protocols',
  'y-websocket',
  'yjs'
];

module.exports = {
  roots: ['<rootDir>/tests'],
  testEnvironment: 'node',
  transform: {
    '\\.(js|ts|tsx)$': [
      'ts-jest',
      { tsconfig: 'tsconfig.test.json', diagnostics: false }
    ]
  },
  transformIgnorePatterns: [`/node_modules/(?!(${modules.join('|')})/)`]
};
