/** One message of a talk that is brought along from a data set. */
export interface TalkMessage {
  readonly role: 'user' | 'assistant';
  readonly content: string;
  readonly at: Date;
  /** The piece of the talk it is part of, as evidence names them: a chat, a day. */
  readonly unit: string;
}

/** A question about a talk. */
export interface TalkQuestion {
  readonly question: string;
  /** Units that hold the answer; never empty. */
  readonly evidence: readonly string[];
  readonly type: string;
}

/** Everything one person said to one assistant, oldest first, and what is asked about it afterwards. */
export interface Talk {
  readonly name: string;
  readonly messages: readonly TalkMessage[];
  readonly questions: readonly TalkQuestion[];
}

/** What a folder holds. */
export interface TalkData {
  readonly talks: readonly Talk[];
  /** How evidence was derived, and what was left out. */
  readonly notes: readonly string[];
}
