/** Country, then what people and things of it are called, and other names of it. */
const TABLE = `
united states: american, u.s., usa, u.s.a.; united kingdom: british, english, scottish, welsh, england, scotland,
wales, northern ireland, u.k., uk, great britain; ireland: irish; canada: canadian; australia: australian;
new zealand: new zealander; india: indian; pakistan: pakistani; bangladesh: bangladeshi; sri lanka: sri lankan;
nepal: nepali, nepalese; china: chinese, 中国; hong kong: hong kongese, 香港; taiwan: taiwanese, 台湾; japan: japanese, 日本;
south korea: korean, south korean, 韩国; north korea: north korean; vietnam: vietnamese, 越南; thailand: thai, 泰国;
philippines: filipino, philippine; indonesia: indonesian; malaysia: malaysian; singapore: singaporean, 新加坡;
cambodia: cambodian; burma: burmese, myanmar; mongolia: mongolian; russia: russian, soviet, soviet union, 俄罗斯;
ukraine: ukrainian; belarus: belarusian; georgia: georgian; armenia: armenian; azerbaijan: azerbaijani;
kazakhstan: kazakh, kazakhstani; uzbekistan: uzbek; turkey: turkish, ottoman; iran: iranian, persian; iraq: iraqi;
israel: israeli; lebanon: lebanese; syria: syrian; egypt: egyptian; saudi arabia: saudi; jordan: jordanian;
france: french, 法国; germany: german, west german, east german, 德国; austria: austrian; switzerland: swiss; italy: italian,
意大利; spain: spanish, catalan, 西班牙; portugal: portuguese; netherlands: dutch, the netherlands, 荷兰; belgium: belgian;
luxembourg: luxembourgish; denmark: danish; sweden: swedish; norway: norwegian; finland: finnish; iceland: icelandic;
poland: polish; czech republic: czech, czechoslovak, czechoslovakia; slovakia: slovak; hungary: hungarian;
romania: romanian; bulgaria: bulgarian; greece: greek, 希腊; serbia: serbian; croatia: croatian; slovenia: slovenian, slovene;
bosnia and herzegovina: bosnian; macedonia: macedonian; albania: albanian; yugoslavia: yugoslav; estonia: estonian;
latvia: latvian; lithuania: lithuanian; mexico: mexican; cuba: cuban; brazil: brazilian, 巴西; argentina: argentine,
argentinian; chile: chilean; peru: peruvian; colombia: colombian; venezuela: venezuelan; uruguay: uruguayan;
ecuador: ecuadorian; bolivia: bolivian; paraguay: paraguayan; jamaica: jamaican; dominican republic: dominican;
haiti: haitian; south africa: south african; nigeria: nigerian; ghana: ghanaian; kenya: kenyan; ethiopia: ethiopian;
algeria: algerian; morocco: moroccan; tunisia: tunisian; senegal: senegalese; cameroon: cameroonian; uganda: ugandan;
tanzania: tanzanian; zimbabwe: zimbabwean; 美国: 美国; 英国: 英国; 印度: 印度; 加拿大: 加拿大; 澳大利亚: 澳大利亚`;

const SAME: ReadonlyMap<string, string> = new Map([
  ['美国', 'united states'],
  ['英国', 'united kingdom'],
  ['印度', 'india'],
  ['加拿大', 'canada'],
  ['澳大利亚', 'australia'],
]);

const COUNTRY_OF: ReadonlyMap<string, string> = new Map(
  TABLE.replaceAll('\n', ' ')
    .split(';')
    .flatMap((entry) => {
      const [name = '', words = ''] = entry.split(':').map((part) => part.trim());
      const country = SAME.get(name) ?? name;
      return [name, ...words.split(',').map((word) => word.trim())].map((word) => [word, country] as const);
    }),
);

const MOST_WORDS = 3;
const CHINESE_NAMES = [...COUNTRY_OF.keys()].filter((name) => /\p{Script=Han}/u.test(name));

/** Countries a text names, by their name or by what is called after them, in the order of their mention. */
export function countriesIn(text: string): readonly string[] {
  const words = text.toLowerCase().match(/[\p{L}.]+/gu) ?? [];
  const found: string[] = [];
  for (let start = 0; start < words.length; start++) {
    for (let length = Math.min(MOST_WORDS, words.length - start); length > 0; length--) {
      const phrase = words.slice(start, start + length).join(' ');
      const country = COUNTRY_OF.get(phrase) ?? COUNTRY_OF.get(phrase.replace(/\.+$/u, ''));
      if (country === undefined) continue;
      found.push(country);
      start += length - 1;
      break;
    }
  }
  found.push(...CHINESE_NAMES.filter((name) => text.includes(name)).map((name) => COUNTRY_OF.get(name)!));
  return [...new Set(found)];
}
