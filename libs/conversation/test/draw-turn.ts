import type { StateMachineDescription, TurnArrow, TurnState } from '../src/index.js';

/** Where the states stand: the way of every turn downwards, what leads back beside it, the ends on the right. */
const ROW = 92;
const TOP = 60;
const HEIGHT = 52;
const WAY = { x: 460, width: 340 } as const;
const END = { x: 960, width: 200 } as const;
const PLACES: Readonly<
  Record<TurnState, { readonly x: number; readonly width: number; readonly row: number }>
> = {
  received: { ...WAY, row: 0 },
  admitted: { ...WAY, row: 1 },
  recalled: { ...WAY, row: 2 },
  retrieved: { ...WAY, row: 3 },
  model: { ...WAY, row: 4.35 },
  tool: { x: 40, width: 250, row: 4.35 },
  answered: { ...WAY, row: 5.7 },
  persisted: { ...WAY, row: 6.7 },
  cancelled: { ...END, row: 2.2 },
  failed: { ...END, row: 4.2 },
};
const SIZE = { width: 1_180, height: 750 } as const;
const RAILS: Readonly<Record<string, number>> = { cancelled: 850, failed: 900 };
const INK = '#334155';
const COLOURS = {
  active: { fill: '#eff6ff', stroke: '#3b82f6' },
  persisted: { fill: '#ecfdf5', stroke: '#059669' },
  failed: { fill: '#fef2f2', stroke: '#dc2626' },
  cancelled: { fill: '#fffbeb', stroke: '#d97706' },
} as const;

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly right: number;
  readonly bottom: number;
  readonly middle: { readonly x: number; readonly y: number };
}

function boxOf(state: TurnState): Box {
  const { x, width, row } = PLACES[state];
  const y = Math.round(TOP + row * ROW);
  return {
    x,
    y,
    width,
    right: x + width,
    bottom: y + HEIGHT,
    middle: { x: x + width / 2, y: y + HEIGHT / 2 },
  };
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const spoken = ({ cause, atMost }: TurnArrow) =>
  cause.replaceAll('_', ' ') + (atMost === undefined ? '' : `, ${atMost}× at most`);

/** The turn's state machine as an SVG picture, every arrow of it drawn from the machine's own description. */
export function drawTurn({ initial, states, transitions }: StateMachineDescription): string {
  const start = boxOf(initial);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" font-family="Helvetica, Arial, sans-serif" role="img" aria-labelledby="title">`,
    '<title id="title">The states of a turn</title>',
    `<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="${INK}"/></marker></defs>`,
    `<rect width="${SIZE.width}" height="${SIZE.height}" fill="#ffffff"/>`,
    `<circle cx="${start.middle.x}" cy="22" r="8" fill="${INK}"/>`,
    line(`M${start.middle.x} 30 V${start.y - 2}`),
    ...transitions.map(arrow),
    ...Object.keys(RAILS).map((end) => rail(end as TurnState, transitions)),
    ...states.map(({ name, does }) => state(name, does)),
    '</svg>',
    '',
  ];
  return parts.join('\n');
}

function state(name: TurnState, does: string | undefined): string {
  const { x, y, width, middle } = boxOf(name);
  const { fill, stroke } = name in COLOURS ? COLOURS[name as keyof typeof COLOURS] : COLOURS.active;
  const titleY = does ? middle.y - 5 : middle.y + 5;
  return [
    `<rect x="${x}" y="${y}" width="${width}" height="${HEIGHT}" rx="10" fill="${fill}" stroke="${stroke}" stroke-width="1.5"/>`,
    label(middle.x, titleY, name, 'middle', 'font-size="15" font-weight="600"'),
    ...(does ? [label(middle.x, middle.y + 15, does, 'middle', 'font-size="12"')] : []),
  ].join('');
}

function arrow(transition: TurnArrow): string {
  const { from, to } = transition;
  if (to in RAILS) return '';
  const [source, target] = [boxOf(from), boxOf(to)];
  const says = (x: number, y: number, anchor: Anchor = 'start') => label(x, y, spoken(transition), anchor);
  if (from === to) {
    const { x, bottom } = source;
    return line(`M${x + 40} ${bottom} v14 q0 8 -8 8 h-9 q-8 0 -8 -8 v-12`) + says(x + 8, bottom + 24, 'end');
  }
  if (source.x === target.x) {
    if (PLACES[to].row - PLACES[from].row < 2)
      return (
        line(`M${source.middle.x} ${source.bottom} V${target.y - 2}`) +
        says(source.middle.x + 8, (source.bottom + target.y) / 2 + 4)
      );
    // Past all that lies between.
    const lane = 14;
    const round = `M${source.x} ${source.middle.y} H${lane} V${target.middle.y} H${target.x - 2}`;
    return line(round) + says(lane + 8, source.middle.y - 8);
  }
  if (source.y === target.y) {
    const back = target.x < source.x;
    const y = source.middle.y + (back ? -10 : 10);
    const path = back ? `M${source.x} ${y} H${target.right + 2}` : `M${source.right} ${y} H${target.x - 2}`;
    return line(path) + says((back ? target : source).right + 10, y + (back ? -7 : 16));
  }
  return target.x < source.x
    ? line(`M${source.x} ${source.middle.y} H${target.middle.x} V${target.y - 2}`) +
        says(target.middle.x + 8, source.middle.y - 8)
    : line(`M${source.middle.x} ${source.bottom} V${target.middle.y} H${target.x - 2}`) +
        says(source.middle.x + 8, target.middle.y - 8);
}

/** All arrows into one end run together. */
function rail(end: TurnState, transitions: readonly TurnArrow[]): string {
  const x = RAILS[end]!;
  const target = boxOf(end);
  const { stroke } = COLOURS[end as 'failed' | 'cancelled'];
  const shift = end === 'failed' ? 8 : -8;
  const from = transitions.filter(({ to }) => to === end).map((each) => boxOf(each.from));
  // A state beside the way leaves it upwards, and crosses it.
  const heightOf = ({ x, y, middle }: Box) => (x === WAY.x ? middle.y + shift : y - 22 + shift);
  const starts = from.map((box) => {
    const out = box.x === WAY.x ? `M${box.right}` : `M${box.middle.x - 60 + shift} ${box.y} V`;
    const path = box.x === WAY.x ? `${out} ${heightOf(box)} H${x}` : `${out}${heightOf(box)} H${x}`;
    return `<path d="${path}" fill="none" stroke="${stroke}" stroke-opacity="0.55"/>`;
  });
  const ys = [...from.map(heightOf), target.middle.y];
  return [
    ...starts,
    `<path d="M${x} ${Math.min(...ys)} V${Math.max(...ys)}" stroke="${stroke}" stroke-opacity="0.55"/>`,
    line(`M${x} ${target.middle.y} H${target.x - 2}`, stroke),
  ].join('');
}

type Anchor = 'start' | 'middle' | 'end';

function label(
  x: number,
  y: number,
  text: string,
  anchor: Anchor,
  style = 'font-size="12" font-style="italic"',
): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${INK}" ${style}>${escaped(text)}</text>`;
}

function line(path: string, stroke = INK): string {
  return `<path d="${path}" fill="none" stroke="${stroke}" marker-end="url(#tip)"/>`;
}
