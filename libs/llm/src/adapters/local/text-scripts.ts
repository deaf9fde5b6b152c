const CJK = /[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\u{20000}-\u{2fa1f}]/u;
const CJK_RUNS = /[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\u{20000}-\u{2fa1f}]+/gu;
const WORDS = /[\p{L}\p{N}]+/gu;

/** Chinese text averages about this many characters where English has one word. */
const CJK_CHARACTERS_PER_WORD = 1.6;

/** True when `text` contains a Chinese, Japanese or Korean character. */
export function hasCjk(text: string): boolean {
  return CJK.test(text);
}

export interface ScriptParts {
  /** Unbroken runs of CJK characters, in order. */
  readonly cjkRuns: readonly string[];
  /** The text with the runs cut out and white space collapsed; empty when no letter or digit is left. */
  readonly other: string;
  /** Share of the content that is CJK, in `[0, 1]`; 0 for a text without any content. */
  readonly cjkShare: number;
}

/** Separates CJK text from everything else, after compatibility normalisation (NFKC). */
export function splitScripts(text: string): ScriptParts {
  const normalised = text.normalize('NFKC');
  const cjkRuns = normalised.match(CJK_RUNS) ?? [];
  if (cjkRuns.length === 0) return { cjkRuns: [], other: normalised.trim(), cjkShare: 0 };
  const rest = normalised.replace(CJK_RUNS, ' ').replace(/\s+/gu, ' ').trim();
  const words = rest.match(WORDS)?.length ?? 0;
  const characters = cjkRuns.reduce((total, run) => total + run.length, 0);
  const cjkWords = characters / CJK_CHARACTERS_PER_WORD;
  return { cjkRuns, other: words > 0 ? rest : '', cjkShare: cjkWords / (cjkWords + words) };
}
