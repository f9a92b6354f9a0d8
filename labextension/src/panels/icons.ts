import { LabIcon } from '@jupyterlab/ui-components';

import galaxy from '../../style/icons/galaxy.svg';

export const galaxyIcon = new LabIcon({
  name: 'jupyter-astroml:galaxy',
  svgstr: galaxy
});
