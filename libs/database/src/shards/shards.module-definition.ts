import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { ShardsOptions } from './shards.options.js';

export const {
  ConfigurableModuleClass: ConfigurableShardsModule,
  MODULE_OPTIONS_TOKEN: SHARDS_OPTIONS_TOKEN,
  OPTIONS_TYPE: SHARDS_OPTIONS_TYPE,
  ASYNC_OPTIONS_TYPE: SHARDS_ASYNC_OPTIONS_TYPE,
} = new ConfigurableModuleBuilder<ShardsOptions>({ moduleName: 'SparkleShards' })
  .setClassMethodName('forRoot')
  .setExtras({ isGlobal: true }, (definition, extras) => ({ ...definition, global: extras.isGlobal }))
  .build();
