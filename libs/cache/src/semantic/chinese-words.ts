/** Words of Chinese, grouped by what they do to the meaning of a question. */

/** Politeness and filler, dropped wherever it stands. Longer ones first. */
export const CHINESE_FILLER =
  /请问一下|请问|麻烦你|麻烦您|麻烦|能否帮我|能不能帮我|可以帮我|你能帮我|能帮我|帮我|给我|我想知道|我想了解|想了解|想知道|你知道|您知道|能不能告诉我|可以告诉我|告诉我|你能不能|你能否|你可以|您可以|请你|请您|请|谢谢|你好|您好|一下子|一下|到底|究竟|所谓的?|关于|呢|啊|吧|呀|嘛|哦|哈|的话/gu;

/** `A不A` asks yes or no; it does not negate. */
export const CHINESE_A_NOT_A =
  /是不是|能不能|会不会|要不要|有没有|可不可以|好不好|对不对|行不行|该不该|应不应该|需不需要|值不值得|知不知道/gu;

/** Words that contain a negating character and do not negate. */
export const CHINESE_NOT_NEGATING =
  /不同|不断|不仅|不但|不过|不管|不论|不只|非常|非洲|未来|无论|无线|没收|除非|不等式|无穷|无限|差不多|非线性|无监督|非监督|无向|不变量|未知数|无理数|非参数/gu;

export const CHINESE_NEGATION = /没有|不|没|非|未|无|别|勿|莫|禁止|避免|防止|除了/gu;

/** "One" with a measure word says no more than "a". Whoever counts writes another numeral. */
export const CHINESE_ARTICLE =
  /(?<![第每同某哪这那任另唯进一下有])一[个名位只条头匹辆架把张座块本支家](?![个名位只条头匹辆架把张座块本支家人半])/gu;

/** Ways to say that something is going on. */
export const CHINESE_PROGRESSIVE = /正在|正(?=[在于])/gu;

const ANTONYMS = `
  增加 减少|增大 减小|上升 下降|提高 降低|升高 降低|优点 缺点|优势 劣势|好处 坏处|利 弊|有监督 无监督|监督 无监督|监督 非监督
  线性 非线性|最大 最小|最多 最少|最好 最差|最高 最低|最快 最慢|最长 最短|最早 最晚|最新 最旧|大于 小于|多于 少于|高于 低于
  开始 结束|开始 停止|打开 关闭|启用 禁用|允许 禁止|接受 拒绝|添加 删除|增加 删除|创建 删除|安装 卸载|导入 导出|输入 输出
  编码 解码|加密 解密|压缩 解压|上传 下载|登录 退出|购买 出售|买 卖|借入 借出|赢 输|成功 失败|正确 错误|正 负|真 假|是 否
  之前 之后|以前 以后|以上 以下|内部 外部|公开 私有|公有 私有|前面 后面|上面 下面|左 右|东 西|南 北|男 女|父 子|父亲 母亲
  老师 学生|热 冷|快 慢|高 低|长 短|多 少|新 旧|老 新|强 弱|难 易|简单 复杂|贵 便宜|安全 危险|合法 非法|可能 不可能
  同步 异步|静态 动态|有限 无限|离散 连续|局部 全局|凸 凹|查准率 查全率|过拟合 欠拟合|编码器 解码器|有向 无向|有理数 无理数
  递增 递减|升序 降序|水平 垂直|横向 纵向|起点 终点|原因 结果|出生 死亡|进入 离开|连接 断开|参数 非参数|扩大 缩小|膨胀 收缩
`;

/** Words that exclude each other. */
export const CHINESE_ANTONYMS: readonly (readonly [string, string])[] = ANTONYMS.split(/[|\n]/).flatMap(
  (pair) => {
    const [left, right] = pair.trim().split(/\s+/);
    return left && right ? [[left, right] as const] : [];
  },
);

/** Carry no content of their own once the kind of question is known. */
export const CHINESE_STOP_WORDS = new Set(
  '的 了 是 在 有 和 与 及 或 也 都 就 还 又 很 太 把 被 让 使 对 为 以 其 之 这 那 这个 那个 我 你 您 他 她 它 我们 你们 他们 一个 一种 一些 什么 怎么 如何 怎样 中 里 上 下 会 能 可以 应该 要 需要 得 着 过 地 个 种 些 进行 具体 主要 一般 通常'.split(
    ' ',
  ),
);
