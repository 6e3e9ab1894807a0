// What is below the model: a contact shadow, and a grid with the model's width, height and depth.

import {
  BackSide, BufferAttribute, BufferGeometry, CanvasTexture, Group, LineBasicMaterial, LineSegments, Mesh,
  MeshBasicMaterial, NoBlending, OrthographicCamera, PlaneGeometry, Scene, ShaderMaterial, Sprite, SpriteMaterial,
  SRGBColorSpace, Vector3, WebGLRenderTarget,
} from "../vendor/three.js";

const SHADOW_PIXELS = 512; // side of the shadow's picture
const SHADOW_REACH = 1.5; // side of the shadow's plane, in sides of the model's footprint
const SHADOW_HEIGHT = 0.45; // what is higher above the ground casts none; in sides of the model's box
const SHADOW_DARKNESS = 0.55;
const BLURS = [0.03, 0.008]; // radii, in sides of the plane: a wide one, and one that removes its steps

const GRID_REACH = 1.6; // radius of the grid, in half diagonals of the model's footprint
const CELLS = 8; // about so many cells of the grid along the model's longer side
const LABEL_HEIGHT = 0.034; // of the picture's height
const GAP = 0.05; // between the model and the lines of its dimensions, in sides of the model's box

const SCREEN_VERTEX = "varying vec2 place; void main() { place = uv; gl_Position = vec4(position.xy, 0.0, 1.0); }";
const DEPTH_VERTEX = "void main() { gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }";
const DEPTH_FRAGMENT = "void main() { float near = 1.0 - gl_FragCoord.z; gl_FragColor = vec4(0.0, 0.0, 0.0, near * near); }";
const BLUR_FRAGMENT = `
  uniform sampler2D picture; uniform vec2 stride; varying vec2 place;
  void main() {
    float sum = 0.0, weights = 0.0;
    for (int i = -8; i <= 8; i++) {
      float weight = exp(-float(i * i) / 24.0);
      sum += weight * texture2D(picture, place + stride * float(i)).a;
      weights += weight;
    }
    gl_FragColor = vec4(0.0, 0.0, 0.0, sum / weights);
  }`;

export class Ground {
  constructor(renderer) {
    this.renderer = renderer;
    this.group = new Group();
    this.grid = new Group();
    this.pictures = [0, 1].map(() => new WebGLRenderTarget(SHADOW_PIXELS, SHADOW_PIXELS));
    this.depth = new ShaderMaterial({ vertexShader: DEPTH_VERTEX, fragmentShader: DEPTH_FRAGMENT, blending: NoBlending });
    this.blur = new ShaderMaterial({
      vertexShader: SCREEN_VERTEX,
      fragmentShader: BLUR_FRAGMENT,
      uniforms: { picture: { value: null }, stride: { value: [0, 0] } },
      blending: NoBlending,
      depthTest: false,
    });
    this.screen = new Scene();
    this.screen.add(new Mesh(new PlaneGeometry(2, 2), this.blur));
    const dark = new MeshBasicMaterial({ map: this.pictures[0].texture, transparent: true, opacity: SHADOW_DARKNESS, depthWrite: false, toneMapped: false, side: BackSide });
    this.shadow = new Mesh(new PlaneGeometry(1, 1), dark);
    this.shadow.rotation.x = Math.PI / 2; // the picture's x and y along the scene's x and z, seen from above
    this.group.add(this.shadow, this.grid);
  }

  /** Lay the shadow and the grid below a model. box: of the model. sized: whether its unit is the metre. */
  fit(model, box, sized, sizeText) {
    const size = box.getSize(new Vector3());
    const centre = box.getCenter(new Vector3());
    this.group.position.set(centre.x, box.min.y, centre.z);
    this.#castShadow(model, box, size);
    this.#layGrid(size, sized, sizeText);
  }

  #castShadow(model, box, size) {
    const side = SHADOW_REACH * Math.max(size.x, size.z, 0.2 * size.y);
    const height = SHADOW_HEIGHT * Math.max(size.x, size.y, size.z);
    const camera = new OrthographicCamera(-side / 2, side / 2, side / 2, -side / 2, 0, height);
    camera.position.copy(this.group.position);
    camera.position.y -= 0.001 * height; // so that what stands on the ground is in front of the camera
    camera.up.set(0, 0, 1);
    camera.lookAt(camera.position.x, camera.position.y + 1, camera.position.z);
    const stage = new Scene();
    const parent = model.parent;
    stage.overrideMaterial = this.depth;
    stage.add(model);
    const { renderer } = this;
    this.#drawInto(this.pictures[0], () => renderer.render(stage, camera));
    parent?.add(model);
    for (const radius of BLURS) {
      const stride = radius / 8;
      this.#blurred(this.pictures[0], this.pictures[1], [stride, 0]);
      this.#blurred(this.pictures[1], this.pictures[0], [0, stride]);
    }
    this.shadow.scale.set(side, side, 1);
    this.shadow.position.y = 0.0005 * height;
  }

  #blurred(from, to, stride) {
    this.blur.uniforms.picture.value = from.texture;
    this.blur.uniforms.stride.value = stride;
    this.#drawInto(to, () => this.renderer.render(this.screen, new OrthographicCamera()));
  }

  #drawInto(target, draw) {
    const { renderer } = this;
    const before = renderer.getRenderTarget();
    renderer.setRenderTarget(target);
    renderer.clear();
    draw();
    renderer.setRenderTarget(before);
  }

  #layGrid(size, sized, sizeText) {
    for (const part of [...this.grid.children]) {
      part.geometry.dispose();
      part.material.map?.dispose();
      part.material.dispose();
      this.grid.remove(part);
    }
    const cell = roundLength(Math.max(size.x, size.z) / CELLS);
    this.cell = cell; // length of a side of the grid's cells, in units of the model
    this.grid.add(lines(gridPoints(cell, GRID_REACH * Math.hypot(size.x, size.z) / 2)));
    if (!sized) return;
    const [x, z] = [size.x / 2, size.z / 2];
    const gap = GAP * Math.max(size.x, size.y, size.z);
    const measured = [
      [[-x, 0, z + gap], [x, 0, z + gap], size.x],
      [[x + gap, 0, -z], [x + gap, 0, z], size.z],
      [[-x - gap, 0, z], [-x - gap, size.y, z], size.y],
    ];
    this.grid.add(lines(measured.flatMap(([from, to]) => [[...from, 1], [...to, 1]])));
    for (const [from, to, length] of measured) {
      const label = labelled(sizeText(length));
      label.position.set(...from.map((value, axis) => (value + to[axis]) / 2));
      this.grid.add(label);
    }
  }
}

/** Return a length of 1, 2 or 5 times a power of ten that is about as long. */
export function roundLength(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return power * [1, 2, 5, 10].find((step) => step * power >= 0.75 * length);
}

/** Return the ends of the grid's lines, [x, y, z, opacity], cell by cell: it fades towards its rim. */
function gridPoints(cell, radius) {
  const count = Math.ceil(radius / cell);
  const faded = (x, z) => 0.55 * Math.max(0, 1 - Math.hypot(x, z) / (count * cell)) ** 0.8;
  const points = [];
  for (let i = -count; i <= count; i += 1) {
    for (let j = -count; j < count; j += 1) {
      const [fixed, from, to] = [i * cell, j * cell, (j + 1) * cell];
      points.push([fixed, 0, from, faded(fixed, from)], [fixed, 0, to, faded(fixed, to)]);
      points.push([from, 0, fixed, faded(from, fixed)], [to, 0, fixed, faded(to, fixed)]);
    }
  }
  return points;
}

function lines(points) {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(points.flatMap(([x, y, z]) => [x, y, z])), 3));
  geometry.setAttribute("color", new BufferAttribute(new Float32Array(points.flatMap(([, , , opacity]) => [0.35, 0.4, 0.42, opacity])), 4));
  return new LineSegments(geometry, new LineBasicMaterial({ vertexColors: true, transparent: true, depthWrite: false, toneMapped: false }));
}

/** Return a sprite with a text, as large from every distance. */
function labelled(words) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const font = "600 44px system-ui, sans-serif";
  context.font = font;
  canvas.width = Math.ceil(context.measureText(words).width) + 48;
  canvas.height = 72;
  context.font = font;
  context.fillStyle = "#ffffffee";
  context.beginPath();
  context.roundRect(0, 0, canvas.width, canvas.height, 36);
  context.fill();
  context.fillStyle = "#181b1d";
  context.textBaseline = "middle";
  context.fillText(words, 24, 38);
  const picture = new CanvasTexture(canvas);
  picture.colorSpace = SRGBColorSpace;
  const sprite = new Sprite(new SpriteMaterial({ map: picture, sizeAttenuation: false, depthTest: false, toneMapped: false }));
  sprite.scale.set((LABEL_HEIGHT * canvas.width) / canvas.height, LABEL_HEIGHT, 1);
  return sprite;
}
