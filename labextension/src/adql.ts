// This module is itself loaded only when an editor asks for ADQL.
// eslint-disable-next-line jupyter/prefer-lazy-imports
import { sql, SQLDialect } from '@codemirror/lang-sql';
import { LanguageSupport } from '@codemirror/language';

// Reserved words of ADQL 2.1 (section 2.1.2), without those of its functions.
const KEYWORDS =
  'all and any as asc between by case cast cross desc distinct else end except exists from full ' +
  'group having ilike in inner intersect is join left like natural not null offset on or order ' +
  'outer right select some then top union using values when where with';

// Its geometry (section 4.2), mathematics (2.3) and the functions that the Registry's users know.
const FUNCTIONS =
  'abs acos area asin atan atan2 avg box ceiling centroid circle coalesce contains coord1 coord2 ' +
  'coordsys cos cot count degrees distance exp floor in_unit intersects ivo_hashlist_has ' +
  'ivo_hasword ivo_histogram ivo_nocasematch log log10 lower max min mod pi point polygon power ' +
  'radians rand region round sign sin sqrt sum tan truncate upper';

const TYPES =
  'bigint blob char clob double integer precision real smallint timestamp varchar';

export function adql(): LanguageSupport {
  return sql({
    dialect: SQLDialect.define({
      keywords: KEYWORDS,
      builtin: FUNCTIONS,
      types: TYPES,
      // "…" is a name in ADQL, and -- its only comment
      doubleQuotedStrings: false,
      hashComments: false,
      slashComments: false,
      caseInsensitiveIdentifiers: true
    }),
    upperCaseKeywords: true
  });
}
