/** Name of our texts for the translators. */
export const DOMAIN = 'jupyter_astroml';
