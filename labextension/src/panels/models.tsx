import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IInterval, IMeasure, IModelInfo, INeeds } from '../api/types';
import { ModelsModel, spelled } from '../model/models';
import { Busy, Problem } from './problem';
import { Section } from './section';

interface IProps {
  readonly model: ModelsModel;
  readonly trans: TranslationBundle;
  readonly predict: (name: string) => void;
}

/** Cards of the models: what each is for, how well it does, and where it fails. */
export class ModelsPanel extends Section {
  constructor(private readonly _props: IProps) {
    super(_props.model, 'models', _props.trans.__('Models'));
  }

  protected content(): JSX.Element {
    return <Models {...this._props} />;
  }
}

function Models(props: IProps): JSX.Element {
  const { model, predict, trans } = props;
  const { models } = model;
  if (models.state === 'failed') {
    return (
      <Problem
        problem={models.problem}
        retry={() => void model.refresh()}
        trans={trans}
      />
    );
  }
  if (models.state !== 'ready') {
    return <Busy>{trans.__('Reading the model cards…')}</Busy>;
  }
  if (models.value.length === 0) {
    return (
      <p className="jp-AstroML-note">{trans.__('No model is installed.')}</p>
    );
  }
  return (
    <div className="jp-AstroML-scroll">
      {models.value.map(info => (
        <Card
          info={info}
          key={info.name}
          model={model}
          predict={() => predict(info.name)}
          trans={trans}
        />
      ))}
    </div>
  );
}

function Card(props: {
  info: IModelInfo;
  model: ModelsModel;
  predict: () => void;
  trans: TranslationBundle;
}): JSX.Element {
  const { info, model, predict, trans } = props;
  const title = `jupyter-astroml-model-${info.name}`;
  return (
    <article aria-labelledby={title} className="jp-AstroML-card">
      <header>
        <h3 id={title}>{info.title}</h3>
        <span className="jp-AstroML-tag">{task(info.task, trans)}</span>
      </header>
      <p>{info.description}</p>
      <dl>
        <dt>{trans.__('Answers')}</dt>
        <dd>{info.answers.join(', ')}</dd>
        <dt>{trans.__('Measured')}</dt>
        <dd>
          {info.measure ? (
            <Measure measure={info.measure} trans={trans} />
          ) : (
            trans.__('not yet')
          )}
        </dd>
        <dt>{trans.__('Needs')}</dt>
        <dd>{needs(info.needs, trans).join(' · ')}</dd>
      </dl>
      <Fold title={trans.__('Limits')}>
        <ul>
          {info.limits.map(limit => (
            <li key={limit}>{limit}</li>
          ))}
        </ul>
      </Fold>
      <Fold
        onOpen={() => void model.read(info.name)}
        title={trans.__('Training, licence and citation')}
      >
        <More info={info} model={model} trans={trans} />
      </Fold>
      <footer>
        <button
          aria-label={trans.__('Predict with %1', info.title)}
          className="jp-AstroML-button jp-mod-accept"
          onClick={predict}
          title={trans.__('Write a prediction for rows in the notebook')}
          type="button"
        >
          {trans.__('Insert prediction')}
        </button>
        <code>{info.name}</code>
      </footer>
    </article>
  );
}

function Fold(props: {
  title: string;
  children: React.ReactNode;
  onOpen?: () => void;
}): JSX.Element {
  return (
    <details
      onToggle={event => {
        if (event.currentTarget.open) {
          props.onOpen?.();
        }
      }}
    >
      <summary>{props.title}</summary>
      {props.children}
    </details>
  );
}

function Measure(props: {
  measure: IMeasure;
  trans: TranslationBundle;
}): JSX.Element {
  const { measure, trans } = props;
  const text = spelled(measure.value, measure.low, measure.high);
  const baseline =
    measure.baseline_value === null
      ? ''
      : spelled(measure.baseline_value, measure.low, measure.high).value;
  return (
    <>
      {measure.name} <strong>{text.value}</strong>
      {text.low && text.high && (
        <span title={trans.__('interval of 95 %')}>
          {' '}
          [{text.low}, {text.high}]
        </span>
      )}
      <span className="jp-AstroML-dim">
        {' '}
        {baseline && trans.__('(%1: %2)', measure.baseline, baseline)}{' '}
        {trans.__('on %1', measure.sample)}
      </span>
    </>
  );
}

function More(props: {
  info: IModelInfo;
  model: ModelsModel;
  trans: TranslationBundle;
}): JSX.Element {
  const { info, model, trans } = props;
  const detail = model.detail(info.name);
  if (detail.state === 'failed') {
    return (
      <Problem
        problem={detail.problem}
        retry={() => void model.read(info.name)}
        trans={trans}
      />
    );
  }
  if (detail.state !== 'ready') {
    return <Busy>{trans.__('Reading the card…')}</Busy>;
  }
  const card = detail.value;
  const facts: ReadonlyArray<readonly [string, string]> = [
    [trans.__('Trained on'), card.trained_on.join(', ')],
    [trans.__('Baseline'), card.baseline],
    [trans.__('Bias'), card.bias],
    [trans.__('Licence'), card.licence],
    [trans.__('Cite'), card.citations.join('; ')],
    [trans.__('Version'), `${info.version}, ${info.source}`],
    [trans.__('Weights'), card.digest.slice(0, 'sha256:'.length + 12)]
  ];
  return (
    <dl>
      {facts
        .filter(([, value]) => value)
        .map(([name, value]) => (
          <React.Fragment key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </React.Fragment>
        ))}
    </dl>
  );
}

function task(name: string, trans: TranslationBundle): string {
  switch (name) {
    case 'classify':
      return trans.__('classifies');
    case 'detect':
      return trans.__('detects');
    case 'regress':
      return trans.__('measures');
    case 'emulate':
      return trans.__('draws');
    default:
      return name;
  }
}

function needs(asked: INeeds, trans: TranslationBundle): string[] {
  const size =
    asked.kind === 'light_curves'
      ? trans.__('at least %1 points', asked.size.join(' × '))
      : trans.__('%1 pixels', asked.size.join(' × '));
  return [
    kind(asked.kind, trans),
    asked.bands.length > 0 ? trans.__('in %1', asked.bands.join(', ')) : '',
    size,
    asked.wavelength ? between(asked.wavelength, trans) : '',
    asked.pixel_scale ? between(asked.pixel_scale, trans) : '',
    asked.cadence ? trans.__('every %1', between(asked.cadence, trans)) : ''
  ].filter(Boolean);
}

function kind(name: string, trans: TranslationBundle): string {
  switch (name) {
    case 'cutouts':
      return trans.__('images');
    case 'light_curves':
      return trans.__('light curves');
    case 'spectra':
      return trans.__('spectra');
    default:
      return name;
  }
}

function between(interval: IInterval, trans: TranslationBundle): string {
  const { high, low, unit } = interval;
  const round = (x: number): string => String(Number(x.toPrecision(3)));
  return low === high
    ? `${round(low)} ${unit}`
    : trans.__('%1–%2 %3', round(low), round(high), unit);
}
