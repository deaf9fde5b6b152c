import type { Tool, ToolContext, ToolOutput } from '@sparkle/conversation';
import type { StudyProgress, StudyService } from '@sparkle/graphrag';
import { z } from 'zod';

const schema = z.strictObject({
  days: z.int().min(1).max(366).default(7).describe('How many days back, today included'),
});

const NODES = 10;

const ASKS = [
  /\bhow far (?:am i|have i (?:come|got|gotten))\b/iu,
  /\bmy (?:\w+ )?progress\b/iu,
  /\bwhat (?:have|did) i (?:already )?(?:learn(?:ed|t)?|stud(?:y|ied)|master(?:ed)?|done)\b/iu,
  /\bhow (?:much|long|many hours) (?:have|did) i (?:learn|stud(?:y|ied))/iu,
  /我(?:现在|目前)?学(?:习)?到(?:了)?(?:哪|什么|第几)/u,
  /我的(?:学习)?进[度展]/u,
  /我(?:最近|近来|今天|这周|本周|这个月|本月|已经|都)*(?:学习?|掌握)(?:会)?了?(?:些)?(?:什么|哪些|多少|多久)/u,
] as const;

const DAYS = /\b(?:last|past)\s+(\d{1,3})\s+days?\b|(?:最近|过去|近)(\d{1,3})天/iu;
const PERIODS: readonly (readonly [RegExp, number])[] = [
  [/\btoday\b|今天/iu, 1],
  [/\bweek\b|[这本]周|一周|星期/iu, 7],
  [/\bmonth\b|[这本]个?月|一个月/iu, 30],
  [/\byear\b|今年|一年/iu, 366],
];

/** What the learner did in the last days, and what they have mastered. */
export class ProgressTool implements Tool<z.output<typeof schema>> {
  readonly name = 'progress';
  readonly description =
    "This learner's study records of the last days, and the concepts they have mastered or begun.";
  readonly schema = schema;

  constructor(private readonly study: Pick<StudyService, 'progress' | 'nodes'>) {}

  suits(question: string): z.output<typeof schema> | undefined {
    if (!ASKS.some((pattern) => pattern.test(question))) return undefined;
    const [, english, chinese] = DAYS.exec(question) ?? [];
    const said = Number(english ?? chinese);
    const days = said > 0 ? said : PERIODS.find(([pattern]) => pattern.test(question))?.[1];
    return { days: Math.min(366, days ?? 7) };
  }

  async run(
    { days }: z.output<typeof schema>,
    { tenantId, userId, language }: ToolContext,
  ): Promise<ToolOutput> {
    const [progress, mastered, begun] = await Promise.all([
      this.study.progress(tenantId, userId, days),
      this.study.nodes(tenantId, userId, { limit: NODES, mastered: true }),
      this.study.nodes(tenantId, userId, { limit: NODES, mastered: false }),
    ]);
    const zh = language === 'zh';
    const names = (nodes: readonly { readonly name: string }[]) =>
      nodes.map(({ name }) => name).join(zh ? '、' : ', ');
    const texts = [
      zh ? chineseTotals(progress, days) : englishTotals(progress, days),
      ...(mastered.length > 0
        ? [
            zh
              ? `你已掌握${progress.mastered}个概念，最近的是：${names(mastered)}。`
              : `You have mastered ${counted(progress.mastered, 'concept')}, most recently: ${names(mastered)}.`,
          ]
        : []),
      ...(begun.length > 0
        ? [
            zh
              ? `正在学习${progress.inProgress}个概念，最近的是：${names(begun)}。`
              : `You have begun ${counted(progress.inProgress, 'concept')}, most recently: ${names(begun)}.`,
          ]
        : []),
    ];
    return { passages: texts.map((text) => ({ text, source: { days } })) };
  }
}

function englishTotals({ totals, streakDays }: StudyProgress, days: number): string {
  const period = days === 1 ? 'today' : `in the last ${days} days`;
  if (totals.records === 0) return `Nothing is recorded of what you studied ${period}.`;
  const streak = streakDays > 1 ? ` You have studied ${streakDays} days in a row.` : '';
  return `You studied ${counted(minutes(totals.seconds), 'minute')} ${period}, on ${counted(totals.activeDays, 'day')}, in ${counted(totals.records, 'session')} about ${counted(totals.nodes, 'concept')}.${streak}`;
}

function chineseTotals({ totals, streakDays }: StudyProgress, days: number): string {
  const period = days === 1 ? '今天' : `最近${days}天`;
  if (totals.records === 0) return `${period}没有学习记录。`;
  const streak = streakDays > 1 ? `你已连续学习${streakDays}天。` : '';
  return `${period}你在${totals.activeDays}天里学习了${minutes(totals.seconds)}分钟，共${totals.records}次，涉及${totals.nodes}个概念。${streak}`;
}

function minutes(seconds: number): number {
  return Math.round(seconds / 60);
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
