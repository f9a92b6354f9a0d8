import { IArchiveSchema, IColumn, ISchema } from '../src/api/types';

function column(name: string, ucd = '', unit = ''): IColumn {
  return { name, ucd, unit, datatype: 'double', description: `about ${name}` };
}

export const SCHEMAS: ReadonlyArray<ISchema> = [
  {
    name: 'tap_schema',
    description: 'about the archive itself',
    tables: [
      {
        name: 'tap_schema.tables',
        description: '',
        columns: [column('table_name')]
      }
    ]
  },
  {
    name: 'demo',
    description: 'simulated',
    tables: [
      {
        name: 'demo.truth',
        description: 'what was injected',
        columns: [column('id'), column('energy', 'phys.energy', 'erg')]
      },
      {
        name: 'demo.galaxies',
        description: 'images',
        columns: [
          column('ra_corr', 'pos.eq.ra', 'deg'),
          column('ra', 'pos.eq.ra;meta.main', 'deg'),
          column('dec', 'pos.eq.dec;meta.main', 'deg'),
          column('access_url', 'meta.ref.url')
        ]
      }
    ]
  }
];

export const ARCHIVE: IArchiveSchema = { archive: 'demo', schemas: SCHEMAS };
