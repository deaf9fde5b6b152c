import { measureGoodput } from './isolation/goodput.js';
import { measurePermits } from './isolation/permits.js';
import { measureRates } from './isolation/rates.js';
import { measureThreads } from './isolation/threads.js';
import { Report } from './report.js';

const report = new Report('isolation');
await measureThreads(report);
await measurePermits(report);
await measureRates(report);
measureGoodput(report);
report.note(
  'threads: the flooder keeps 200 tasks outstanding, 100 times as many as the others together. A system has 8 threads; ' +
    'the two others of others_throughput use about a tenth of a processor each, the one of busy_other_throughput as ' +
    'much as it gets, which on two processors is its fair share. That holds on an idle machine: where other programs ' +
    'leave less than two processors, compare busy_other_throughput_share, whose fair value is 0.5.',
);
report.note(
  'shared-pool: one piscina with 8 threads, first come, first served, as piscina is used without tenants. It has no ' +
    'notion of tenants to configure.',
);
report.note(
  'permits: 32 permits held for 20 ms. A newcomer on a shared semaphore waits for one holder to finish, 20 ms / 32 on ' +
    'average; permits of the tenant’s own (the default) are not waited for at all.',
);
report.note(
  'other_admitted: in simulated time, exact. The plan is 20 requests per second; one tenant asks for 10, the flooder for 1000.',
);
report.note(
  'simulated_*: M/M/c with 10, 40 and 10 servers for 3 minutes each, under 3 times its capacity, requests of 50 ms on ' +
    'average that are worth nothing after 500 ms. fixed-40 happens to suit both capacities; without knowing them nobody ' +
    'would choose it. The gradient gives up goodput for latency: less of a queue than 40 waits.',
);
process.stdout.write(report.render(process.argv));
