import { describe, expect, it } from 'vitest';
import { ConfigurationInvalidError } from '../errors.js';
import { parseEnvironment } from './environment.js';

const tracingOf = (env: Record<string, string>, serviceName?: string) =>
  parseEnvironment(env, { embedded: true, ...(serviceName && { serviceName }) }).tracing;

describe('the variables of OpenTelemetry', () => {
  it('turn tracing on by an endpoint only, to which the path of traces is added', () => {
    expect(tracingOf({ OTEL_SERVICE_NAME: 'shop' })).toBeUndefined();
    expect(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' }, 'sparkle-api')).toMatchObject(
      {
        mode: 'otlp',
        endpoint: 'http://collector:4318/v1/traces',
        serviceName: 'sparkle-api',
        sampler: 'parentbased_always_on',
      },
    );
    expect(
      tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318', OTEL_SDK_DISABLED: 'true' }),
    ).toBeUndefined();
  });

  it('take an endpoint of traces as it is', () => {
    expect(
      tracingOf({
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example/otlp',
      }),
    ).toMatchObject({ endpoint: 'https://traces.example/otlp' });
  });

  it('say headers, sampling, names and bounds', () => {
    expect(
      tracingOf({
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
        OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%2Cb, tenant=7',
        OTEL_RESOURCE_ATTRIBUTES: 'service.name=shop,deployment.environment.name=staging',
        OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
        OTEL_TRACES_SAMPLER_ARG: '0.25',
        OTEL_BSP_SCHEDULE_DELAY: '250',
        OTEL_BSP_MAX_QUEUE_SIZE: '512',
      }),
    ).toMatchObject({
      headers: { 'api-key': 'a,b', tenant: '7' },
      serviceName: 'shop',
      resource: { 'deployment.environment.name': 'staging' },
      sampler: 'parentbased_traceidratio',
      ratio: 0.25,
      intervalMs: 250,
      maxWaitingSpans: 512,
    });
  });

  it('are refused together when they are wrong, without their values', () => {
    const wrong = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'hidden:4317',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_HEADERS: 'hidden-header',
      OTEL_TRACES_SAMPLER_ARG: '7',
    };
    expect(() => tracingOf(wrong)).toThrow(ConfigurationInvalidError);
    try {
      tracingOf(wrong);
    } catch (error) {
      const problems = (error as ConfigurationInvalidError).problems.join('\n');
      for (const name of Object.keys(wrong)) expect(problems).toContain(name);
      expect(problems).toContain('http/json');
      expect(problems).not.toContain('hidden');
    }
  });
});
