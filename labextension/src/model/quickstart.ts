import {
  explainCode,
  IMPORT,
  inspectCode,
  predictCode,
  queryCode
} from './code';

/** Only the part of a translation bundle that this needs; the model has no interface of its own. */
interface ITranslate {
  __(text: string): string;
}

export interface INewCell {
  readonly cell_type: 'markdown' | 'code';
  readonly source: string;
}

/** The main job, step by step: rows of the demo sky, a model's answers, and what they rest on. */
export function quickStartCells(trans: ITranslate): ReadonlyArray<INewCell> {
  const say = (source: string): INewCell => ({ cell_type: 'markdown', source });
  const code = (source: string): INewCell => ({ cell_type: 'code', source });
  return [
    say(
      trans.__(
        '# Flares in light curves\n\nRun each cell with Shift+Enter. The demo sky is **simulated**: it needs no network, and every flare in it is known.'
      )
    ),
    code(IMPORT),
    say(trans.__('Ask an archive, in ADQL, for stars with light curves.')),
    code(
      queryCode({ archive: 'demo', adql: 'SELECT TOP 20 *\nFROM demo.stars' })
    ),
    say(
      trans.__(
        'Let a pretrained model look at them. It fetches the data itself, in blocks.'
      )
    ),
    code(predictCode({ model: 'flares', engine: 'here' })),
    say(
      trans.__(
        'See all stars at once. Tap a point: its light curve is drawn with what the answer rests on.'
      )
    ),
    code(inspectCode()),
    say(trans.__('The same for one star, in a cell of its own.')),
    code(explainCode())
  ];
}
