/** What a model says when the given context does not answer the question. */
export const UNSUPPORTED_ANSWER = {
  en: "I don't know: the material I was given does not answer this question.",
  zh: '我不知道：给定的资料没有回答这个问题。',
} as const;

export type AnswerLanguage = keyof typeof UNSUPPORTED_ANSWER;

/** True when `text` is, or opens with, one of the {@link UNSUPPORTED_ANSWER} sentences. */
export function isUnsupportedAnswer(text: string): boolean {
  const plain = text.trim().replaceAll('\u2019', "'");
  return Object.values(UNSUPPORTED_ANSWER).some((sentence) => plain.startsWith(sentence));
}
