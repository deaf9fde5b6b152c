import { analyse } from '../index/analyse.js';
import type { QuestionRoute } from '../model.js';

/** What is known of a question once its names are linked and its passages are ranked. */
export interface RoutedQuestion {
  readonly question: string;
  /** Places of the question that name something of the graph. */
  readonly namedPlaces: number;
  /** In `[0, 1]`: how far the seeds of the walk say where to look. */
  readonly trust: number;
  /** In `[0, 1]`: the part of the question's words, weighed by rarity, that the best passage has. */
  readonly coverage: number;
}

/** Above this, one passage has what the question asks about. */
const FACT_COVERAGE = 0.85;

const COMPARES =
  /\b(?:both|same|between|than|versus|vs|compare[ds]?|comparison|differences?|differs?|similar|in common|older|younger|earlier|later|larger|smaller|taller|longer|higher|first|last|more|most)\b|更|比较|相比|对比|区别|不同|异同|相同|一样|还是|都是|共同/iu;
const JOINS = /\b(?:or|and|both|between|than|with)\b|和|与|跟|同|还是|或/iu;

const WHOLE_CORPUS = [
  /\b(?:main|key|major|common|overall|overarching|recurring|central|general|dominant|prevailing) (?:\w+ )?(?:themes?|topics?|ideas?|subjects?|trends?|patterns?|points?|issues?|concerns?|questions?|takeaways|lessons)\b/iu,
  /\b(?:across|throughout|in|of|from) (?:all|the (?:whole|entire|complete)|every|these|our|my|the) (?:\w+ )?(?:documents?|corpus|collection|texts?|files?|notes?|passages?|episodes?|transcripts?|interviews?|conversations?|dataset|data ?set|library|knowledge base|materials?)\b/iu,
  /\b(?:summari[sz]e|summary of|overview of|outline of) (?:all|everything|the (?:whole|entire)|these|our|my|the (?:\w+ )?(?:documents?|corpus|collection|texts?|files?|notes?|knowledge base))/iu,
  /(?:主要|核心|共同|总体|整体|常见|反复出现)的?(?:主题|话题|观点|内容|思想|趋势|问题|议题)/u,
  /(?:所有|全部|整个|这些|各个)的?(?:文档|文件|资料|文章|材料|文本|笔记|知识库|语料|课程|对话|访谈)/u,
  /(?:总结|概括|概述|归纳)(?:一下)?(?:所有|全部|整个|这些|整体)/u,
] as const;

/** Whether a question is about the whole corpus rather than about something in it. English and Chinese. */
export function asksWholeCorpus(question: string): boolean {
  return WHOLE_CORPUS.some((pattern) => pattern.test(question));
}

/**
 * Says what kind of question it is:
 *
 * - `corpus`: about everything there is, and nothing in particular is named
 * - `comparison`: two or more things are named and set against each other
 * - `fact`: one passage has nearly all the question's words, or its names lead everywhere so that the graph says
 *   nothing: flat scores decide
 * - `bridge`: the rest, where one passage leads to another
 */
export function routeQuestion({ question, namedPlaces, trust, coverage }: RoutedQuestion): QuestionRoute {
  if (asksWholeCorpus(question) && (namedPlaces === 0 || trust === 0)) return 'corpus';
  if (namedPlaces >= 2 && COMPARES.test(question) && JOINS.test(question)) return 'comparison';
  if (analyse(question).length === 0 || trust < 0.5 || coverage >= FACT_COVERAGE) return 'fact';
  return 'bridge';
}
