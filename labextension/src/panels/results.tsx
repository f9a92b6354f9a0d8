import { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

interface IProps {
  readonly trans: TranslationBundle;
  readonly inspect: () => void;
  readonly explain: () => void;
}

/** What to do with a run once it is there. */
export class ResultsPanel extends ReactWidget {
  constructor(private readonly _props: IProps) {
    super();
    this.id = 'jupyter-astroml-results';
    this.title.label = _props.trans.__('Results');
    this.addClass('jp-AstroML-section');
    this.addClass('jp-AstroML-results');
  }

  render(): JSX.Element {
    const { explain, inspect, trans } = this._props;
    return (
      <div className="jp-AstroML-bar">
        <div className="jp-AstroML-pair">
          <button
            className="jp-AstroML-button"
            onClick={inspect}
            title={trans.__('Linked plots of all objects in run')}
            type="button"
          >
            {trans.__('Inspect run')}
          </button>
          <button
            className="jp-AstroML-button"
            onClick={explain}
            title={trans.__('Which pixels or times the answers rest on')}
            type="button"
          >
            {trans.__('Explain run')}
          </button>
        </div>
        <p className="jp-AstroML-note">
          {trans.__('Each writes a cell that reads run.')}
        </p>
      </div>
    );
  }
}
