import { useEffect, useId, useMemo, useState } from "react";

import { GraphView } from "../graph/GraphView";
import { Player, type Recording } from "../model/recording";
import { TEXTS } from "../texts";
import { ShownTime } from "../ui/clock";
import { CopyId } from "../ui/CopyId";
import { go, hrefOf, type Panel, type Route } from "../ui/route";
import { Values } from "../ui/Value";
import { Timeline } from "./Timeline";
import { Tokens } from "./Tokens";
import { UsageView } from "./UsageView";

const PANELS: readonly Panel[] = ["graph", "timeline", "state", "tokens", "usage"];
const SPEEDS = [0.5, 1, 2, 5, 10, 20, Infinity];
const NO_BREAKPOINTS: ReadonlyMap<string, "before" | "after"> = new Map();

interface Props {
  recording: Recording;
  route: Route;
  children?: React.ReactNode;
}

/** A run that is over, shown again at any speed; `children` are what else can be done with it. */
export function Replay({ recording, route, children }: Props) {
  const player = useMemo(() => new Player(recording), [recording]);
  const playback = usePlayback(player);
  const view = useMemo(() => player.viewAt(playback.time), [player, playback.time]);
  return (
    <main className="thread">
      <header className="thread-head">
        <h2>
          <span className={`badge ${recording.status}`}>{recording.status}</span> {recording.graphId} <CopyId id={recording.runId} />
        </h2>
        <nav aria-label={TEXTS.replay} data-panels>
          {PANELS.map((panel) => (
            <a key={panel} href={hrefOf({ ...route, panel })} aria-current={panel === route.panel ? "page" : undefined}>{TEXTS[panel]}</a>
          ))}
        </nav>
        {children}
      </header>
      {recording.note !== "" && <p className="trouble">{recording.note}</p>}
      {view.error !== null && <p role="alert" className="fault">{`${view.error.error}: ${view.error.message}`}</p>}
      <ShownTime value={player.first + playback.time}>
        <div className="panel">
          {route.panel === "graph" && (
            <GraphView
              drawn={recording.drawing}
              run={view}
              breakpoints={NO_BREAKPOINTS}
              onTask={(taskId) => go({ ...route, panel: "timeline", taskId })}
              onBreak={() => undefined}
            />
          )}
          {route.panel === "timeline" && <Timeline run={view} taskId={route.taskId} onTask={(taskId) => go({ ...route, taskId })} />}
          {route.panel === "state" && (
            <section className="state-details" aria-label={TEXTS.state}><Values values={view.values} /></section>
          )}
          {route.panel === "tokens" && <Tokens run={view} />}
          {route.panel === "usage" && <UsageView run={view} />}
        </div>
      </ShownTime>
      <Bar player={player} playback={playback} />
    </main>
  );
}

interface Playback {
  /** In milliseconds after the first event. */
  time: number;
  speed: number;
  isPlaying: boolean;
  setTime: (time: number) => void;
  setSpeed: (speed: number) => void;
  toggle: () => void;
}

function usePlayback(player: Player): Playback {
  const [time, setTime] = useState(0);
  const [speed, setSpeed] = useState(1);
  const [isMeantToPlay, setMeantToPlay] = useState(true);
  const isPlaying = isMeantToPlay && time < player.duration;
  useEffect(() => {
    if (!isPlaying) return;
    let last = performance.now();
    const step = (now: number) => {
      const passed = now - last;
      last = now;
      setTime((before) => player.after(before, passed, speed));
      frame = requestAnimationFrame(step);
    };
    let frame = requestAnimationFrame(step);
    return () => cancelAnimationFrame(frame);
  }, [player, speed, isPlaying]);
  return {
    time,
    speed,
    isPlaying,
    setTime: (chosen) => {
      // It stays where it is put, unless it plays.
      setMeantToPlay(isPlaying);
      setTime(chosen);
    },
    setSpeed,
    toggle: () => {
      // At its end it is begun again.
      if (!isPlaying && time >= player.duration) setTime(0);
      setMeantToPlay(!isPlaying);
    },
  };
}

function Bar({ player, playback }: { player: Player; playback: Playback }) {
  const speedId = useId();
  const { time, speed, isPlaying } = playback;
  const shown = `${seconds(time)} / ${seconds(player.duration)} s`;
  return (
    <footer className="replay" role="group" aria-label={TEXTS.replay}>
      <button type="button" onClick={playback.toggle}>{isPlaying ? TEXTS.pause : TEXTS.play}</button>
      <input
        type="range"
        aria-label={TEXTS.moment}
        aria-valuetext={shown}
        min={0}
        max={Math.max(1, player.duration)}
        step={1}
        value={time}
        onChange={(event) => playback.setTime(Number(event.target.value))}
      />
      <span className="moment">{shown} · {player.countAt(time)} / {player.count} {TEXTS.events}</span>
      <label htmlFor={speedId}>{TEXTS.speed}</label>
      <select id={speedId} value={speed} onChange={(event) => playback.setSpeed(Number(event.target.value))}>
        {SPEEDS.map((each) => <option key={each} value={each}>{Number.isFinite(each) ? `${each} ×` : TEXTS.fastest}</option>)}
      </select>
    </footer>
  );
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(1);
}
